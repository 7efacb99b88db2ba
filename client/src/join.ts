// The answer to a join.

import type { NatsConnection } from "@nats-io/nats-core";
import { RequestError, UnavailableError } from "./errors.ts";
import { type Member, readMembers } from "./presence.ts";
import type { Requests } from "./request.ts";
import { isObject, readStatus, type Status } from "./status.ts";

/** What the server says of a conversation. */
export interface Welcome {
  readonly conversation: string;
  /** All that it has. */
  readonly categories: readonly string[];
  /** Settings of the server, by name. */
  readonly limits: Readonly<Record<string, number>>;
  /** Who is present, in the order of arrival. */
  readonly members: readonly Member[];
  /** There are more than were named. */
  readonly membersTruncated: boolean;
  /** The stream that the sequences are of: another one when the server's data was reset. */
  readonly epoch: string | undefined;
  /** The last status of each category, all true at one sequence. */
  readonly snapshot: {
    /** Everything that is newer than the snapshot has a greater sequence. */
    readonly upTo: number;
    /** In the order of the stream. */
    readonly statuses: readonly Status[];
    /** Some are missing: they would not fit into the answer, and were gone when they were asked for. */
    readonly truncated: boolean;
  };
}

/** A last status that the answer to a join had no room for. */
export interface LeftOut {
  readonly category: string;
  readonly sequence: number;
}

/** The answer to a join as it comes. */
export interface Joined extends Welcome {
  readonly leftOut: readonly LeftOut[];
}

/** Asks to join, and for what the answer had no room for; of the categories, all if there are none. */
export async function join(requests: Requests, nats: NatsConnection, conversation: string, categories: readonly string[] = []): Promise<Welcome> {
  const { leftOut, ...welcome } = readJoined(await requests.json(nats, `edge.${conversation}.join`));
  const missing = leftOut.filter(({ category }) => categories.length === 0 || categories.includes(category));
  const [first] = missing;
  if (first === undefined) return missing.length < leftOut.length ? { ...welcome, snapshot: { ...welcome.snapshot, truncated: false } } : welcome;
  const place = {
    epoch: welcome.epoch,
    after: Math.min(...missing.map(({ sequence }) => sequence)) - 1,
    seen: Object.fromEntries(missing.map(({ category, sequence }) => [category, sequence - 1])),
  };
  try {
    const page = await requests.page(nats, { conversation, categories: missing.map(({ category }) => category), place, limit: missing.length });
    return completed(welcome, missing, page.parts.map(({ status }) => status));
  } catch (error) {
    if (error instanceof RequestError && error.kind === "ahead_of_stream") return welcome; // the data was reset meanwhile: the subscription will tell
    throw error;
  }
}

/** The welcome with those that were left out, as far as they have come. */
export function completed(welcome: Welcome, missing: readonly LeftOut[], statuses: readonly Status[]): Welcome {
  const found = statuses.filter(({ category, sequence }) => missing.some((one) => one.category === category && one.sequence === sequence));
  const all = [...welcome.snapshot.statuses, ...found.map((status) => ({ ...status, snapshot: true, replayed: false }))];
  return {
    ...welcome,
    snapshot: { ...welcome.snapshot, statuses: all.sort((a, b) => a.sequence - b.sequence), truncated: found.length < missing.length },
  };
}

/** Reads the answer; throws an UnavailableError for what is none. */
export function readJoined(answer: unknown): Joined {
  const { conversation, categories, limits, presence, presence_truncated, epoch, snapshot } = isObject(answer) ? answer : {};
  const upTo = isObject(snapshot) ? snapshot.up_to_seq : undefined;
  if (typeof conversation !== "string" || !isSequence(upTo)) throw new UnavailableError("unavailable", "the server's answer to a join cannot be read");
  const stored: unknown = isObject(snapshot) ? snapshot.statuses : undefined;
  const missing: unknown = isObject(snapshot) ? snapshot.left_out : undefined;
  return {
    conversation,
    categories: Array.isArray(categories) ? categories.filter((name) => typeof name === "string") : [],
    limits: isObject(limits) ? Object.fromEntries(Object.entries(limits).filter((entry): entry is [string, number] => typeof entry[1] === "number")) : {},
    members: readMembers(presence),
    membersTruncated: presence_truncated === true,
    epoch: typeof epoch === "string" ? epoch : undefined,
    snapshot: {
      upTo,
      statuses: Array.isArray(stored) ? stored.flatMap(readStored).sort((a, b) => a.sequence - b.sequence) : [],
      truncated: isObject(snapshot) && snapshot.truncated === true,
    },
    leftOut: Array.isArray(missing) ? missing.flatMap(readLeftOut) : [],
  };
}

function readLeftOut(missing: unknown): LeftOut[] {
  if (!isObject(missing) || typeof missing.category !== "string" || !isSequence(missing.seq)) return [];
  return [{ category: missing.category, sequence: missing.seq }];
}

function readStored(stored: unknown): Status[] {
  if (!isObject(stored) || typeof stored.subject !== "string" || !isSequence(stored.seq)) return [];
  return [readStatus(stored.subject, stored.seq, stored.status, {}, { snapshot: true })];
}

const isSequence = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
