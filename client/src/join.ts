// The answer to a join.

import { UnavailableError } from "./errors.ts";
import { type Member, readMembers } from "./presence.ts";
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
    /** The oldest were left out: they would not fit into the answer. */
    readonly truncated: boolean;
  };
}

/** Reads the answer; throws an UnavailableError for what is none. */
export function readJoined(answer: unknown): Welcome {
  const { conversation, categories, limits, presence, presence_truncated, epoch, snapshot } = isObject(answer) ? answer : {};
  const upTo = isObject(snapshot) ? snapshot.up_to_seq : undefined;
  if (typeof conversation !== "string" || !isSequence(upTo)) throw new UnavailableError("unavailable", "the server's answer to a join cannot be read");
  const stored: unknown = isObject(snapshot) ? snapshot.statuses : undefined;
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
  };
}

function readStored(stored: unknown): Status[] {
  if (!isObject(stored) || typeof stored.subject !== "string" || !isSequence(stored.seq)) return [];
  return [readStatus(stored.subject, stored.seq, stored.status, {}, { snapshot: true })];
}

const isSequence = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
