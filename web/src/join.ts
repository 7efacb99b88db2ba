// The answer of the request edge.<conversation>.join.

import { type Delivered, isRecord, parseStatus } from "./status.ts";

export interface Joined {
  readonly conversation: string;
  /** The stream that the sequences are of; null if the server does not say. */
  readonly epoch: string | null;
  readonly categories: readonly string[];
  readonly snapshot: { readonly upTo: number; readonly statuses: readonly Delivered[] };
}

/** Reads the answer; null if it is not one. Unknown fields are left alone. */
export function parseJoined(value: unknown): Joined | null {
  if (!isRecord(value) || typeof value["conversation"] !== "string") return null;
  const { conversation, categories, epoch, snapshot } = value;
  if (!Array.isArray(categories)) return null;
  return {
    conversation,
    epoch: typeof epoch === "string" ? epoch : null,
    categories: categories.filter((name) => typeof name === "string"),
    snapshot: parseSnapshot(snapshot),
  };
}

/** What an edge says when it refuses: {"error":{"description":"…"}}. */
export function parseRefusal(value: unknown): string | null {
  const error = isRecord(value) ? value["error"] : undefined;
  const description = isRecord(error) ? error["description"] : undefined;
  return typeof description === "string" ? description : null;
}

function parseSnapshot(value: unknown): Joined["snapshot"] {
  const { up_to_seq: upTo, statuses } = isRecord(value) ? value : {};
  const list = Array.isArray(statuses) ? statuses.flatMap(parseEntry) : [];
  return {
    upTo: typeof upTo === "number" ? upTo : 0,
    statuses: list.sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0)),
  };
}

function parseEntry(value: unknown): Delivered[] {
  if (!isRecord(value) || typeof value["subject"] !== "string") return [];
  const { seq, subject, status } = value;
  return [{ seq: typeof seq === "number" ? seq : null, subject, status: parseStatus(subject, status) }];
}
