// The bounded list of what arrived, newest first.

import type { Delivered } from "./status.ts";

export interface Entry {
  /** Counts up by one for each entry of this page; tells entries apart. */
  readonly id: number;
  readonly delivered: Delivered;
  readonly arrived: Date;
}

export interface Timeline {
  readonly entries: readonly Entry[];
  /** Of this many entries were ever added. */
  readonly added: number;
}

/** More than this many are never kept, nor drawn. */
export const timelineLimit = 200;

export const emptyTimeline: Timeline = { entries: [], added: 0 };

export function addEntry(timeline: Timeline, delivered: Delivered, arrived: Date): Timeline {
  const entry: Entry = { id: timeline.added + 1, delivered, arrived };
  return {
    entries: [entry, ...timeline.entries.slice(0, timelineLimit - 1)],
    added: entry.id,
  };
}

/** Forgets the entries but goes on counting, so that ids never come twice. */
export function clearEntries(timeline: Timeline): Timeline {
  return { ...timeline, entries: [] };
}
