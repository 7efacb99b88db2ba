// A status as the application gets it, and how it is read from a message.

import type { MsgHdrs } from "@nats-io/nats-core";
import { RequestError } from "./errors.ts";

export type Priority = "low" | "normal" | "high" | "urgent";

/** What is going on in a conversation, at one moment, in one of its categories. */
export interface Status {
  readonly conversation: string;
  readonly category: string;
  /** For people. */
  readonly text: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** When it was published. */
  readonly timestamp: Date;
  readonly priority: Priority;
  /** The publisher's own name for it, if it gave one. */
  readonly id: string | undefined;
  /** Its place in the stream: grows, in a conversation and over all of them. */
  readonly sequence: number;
  /** One of the last statuses of each category, as they were when the subscription began. */
  readonly snapshot: boolean;
  /** It comes from the history, not live. */
  readonly replayed: boolean;
  /** The publisher's headers, `traceparent` for instance. A snapshot has none. */
  readonly headers: Readonly<Record<string, string>>;
}

const priorities: readonly string[] = ["low", "normal", "high", "urgent"] satisfies Priority[];

/** Whether this may be a conversation's id. */
export const isConversationId = (id: string): boolean => /^[A-Za-z0-9_-]{1,128}$/.test(id);

/** Throws a RequestError for a name that cannot be a category's. */
export function checkCategories(names: readonly string[]): void {
  for (const name of names) {
    if (!/^[a-z][a-z0-9_]{0,31}$/.test(name)) throw new RequestError("bad_category", `${JSON.stringify(name)} is no category: 1 to 32 of a-z, 0-9 and _, a letter first`);
  }
}

/** The category in `status.<conversation>.<category>`. */
export const categoryOf = (subject: string): string => subject.slice(subject.lastIndexOf(".") + 1);

/** Makes a status of a stored message. */
export function readStatus(
  subject: string,
  sequence: number,
  body: unknown,
  headers: Readonly<Record<string, string>>,
  origin: { readonly snapshot?: boolean; readonly replayed?: boolean } = {},
): Status {
  const fields = isObject(body) ? body : {};
  const { text, metadata, timestamp, priority, id } = fields;
  return {
    conversation: subject.split(".")[1] ?? "",
    category: categoryOf(subject),
    text: typeof text === "string" ? text : "",
    metadata: isObject(metadata) ? metadata : {},
    timestamp: new Date(typeof timestamp === "string" ? timestamp : NaN),
    priority: typeof priority === "string" && priorities.includes(priority) ? (priority as Priority) : "normal",
    id: typeof id === "string" ? id : undefined,
    sequence,
    snapshot: origin.snapshot ?? false,
    replayed: origin.replayed ?? false,
    headers,
  };
}

/** The headers that are the publisher's, the first value of each. */
export function ownHeaders(headers: MsgHdrs | undefined): Record<string, string> {
  const own: Record<string, string> = {};
  for (const name of headers?.keys() ?? []) {
    if (!/^(nats|status)-/i.test(name)) own[name] = headers?.get(name) ?? "";
  }
  return own;
}

/** A header that holds a sequence; 0 if it is not there. */
export function sequenceHeader(headers: MsgHdrs | undefined, name: string): number {
  const value = Number(headers?.get(name) || 0);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}

/** `Status-Truncated`: the first sequence that can be had, when something before it is gone. */
export function truncatedHeader(headers: MsgHdrs | undefined): number | undefined {
  return sequenceHeader(headers, "Status-Truncated") || undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
