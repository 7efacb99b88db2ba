// What a status is on the page, and how one is read from what arrives. A status
// comes from somebody else's service: whatever is missing or odd in it becomes
// an empty value, never an exception.

export type Priority = "low" | "normal" | "high" | "urgent";

export interface Status {
  readonly category: string;
  readonly text: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** When it was published; null if the status does not say it readably. */
  readonly timestamp: Date | null;
  readonly priority: Priority;
}

/** A status with its place in the stream. */
export interface Delivered {
  /** Stream sequence; null where the server gave none. */
  readonly seq: number | null;
  readonly subject: string;
  readonly status: Status;
}

/** One step of several, as `metadata.step` and `metadata.total_steps` tell. */
export interface Progress {
  readonly step: number;
  readonly total: number;
}

const priorities: readonly string[] = ["low", "normal", "high", "urgent"];

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The last token of status.<conversation>.<category>. */
export function categoryOf(subject: string): string {
  return subject.slice(subject.lastIndexOf(".") + 1);
}

/** Reads a status. The category is the subject's, which the server has checked. */
export function parseStatus(subject: string, value: unknown): Status {
  const fields = isRecord(value) ? value : {};
  const { text, metadata, timestamp, priority } = fields;
  return {
    category: categoryOf(subject),
    text: typeof text === "string" ? text : "",
    metadata: isRecord(metadata) ? metadata : {},
    timestamp: parseTime(timestamp),
    priority: isPriority(priority) ? priority : "normal",
  };
}

/** Reads the JSON of a delivered message; undefined if it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The sequence from a `Nats-Sequence` header; null if there is none. */
export function parseSequence(header: string | undefined): number | null {
  return header && /^[0-9]+$/.test(header) ? Number(header) : null;
}

export function progressOf(status: Status): Progress | null {
  const { step, total_steps: total } = status.metadata;
  if (typeof step !== "number" || typeof total !== "number") return null;
  if (!Number.isFinite(step) || !Number.isFinite(total) || total <= 0) return null;
  return { step: Math.min(Math.max(step, 0), total), total };
}

/** The rest of the metadata as short words, at most `limit` of them. */
export function detailsOf(status: Status, limit: number): readonly [string, string][] {
  return Object.entries(status.metadata)
    .filter(([key]) => key !== "step" && key !== "total_steps")
    .slice(0, limit)
    .map(([key, value]) => [shorten(key, 40), shorten(plain(value), 120)]);
}

/** Cuts a text to `limit` UTF-16 units, with an ellipsis, never inside a pair. */
export function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const cut = text.slice(0, limit - 1);
  return cut.replace(/[\uD800-\uDBFF]$/, "") + "…";
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

function parseTime(value: unknown): Date | null {
  if (typeof value !== "string") return null;
  const time = new Date(value);
  return Number.isNaN(time.getTime()) ? null : time;
}

function isPriority(value: unknown): value is Priority {
  return typeof value === "string" && priorities.includes(value);
}
