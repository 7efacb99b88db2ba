// The list of who is present, kept by the rule of docs/protocol.md. Pure.

import { isObject } from "./status.ts";

/** A user who is present in a conversation. */
export interface Member {
  readonly user: string;
  /** Tabs and devices. */
  readonly connections: number;
  readonly since: Date;
}

/** One message of `presence.<c>`. */
export interface Change {
  readonly version: number;
  /** The version before it; 0 with a reset. */
  readonly after: number;
  /** Empty the list first. */
  readonly reset: boolean;
  /** Who came, and whose connections changed: each in the place of what is there. */
  readonly joins: readonly Member[];
  /** The users who left. */
  readonly leaves: readonly string[];
}

/** So many changes are kept while the whole list is asked for; it takes a moment only. */
const maxKept = 1_000;

/** Users by name, as of a list and the changes since. */
export class Roster {
  readonly #members = new Map<string, Member>();
  #version: number | undefined; // of the last change
  #kept: Change[] | undefined; // since the list was asked for
  #isWhole = false; // a list has come
  #truncated = false;

  /** In the order of arrival. */
  get members(): readonly Member[] {
    return [...this.#members.values()].sort((a, b) => a.since.getTime() - b.since.getTime() || (a.user < b.user ? -1 : 1));
  }

  /** The server has named a part only. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /** The subscription begins anew: what came before it may be missing. */
  interrupted(): void {
    this.#version = undefined;
    this.#kept = undefined;
  }

  /** The whole list is asked for. */
  asked(): void {
    this.#kept = [];
  }

  /** The whole list as it was at some moment since it was asked for. */
  answered(members: readonly Member[], truncated: boolean): void {
    this.#members.clear();
    for (const member of members) this.#members.set(member.user, member);
    this.#truncated = truncated;
    this.#isWhole = true;
    for (const change of this.#kept ?? []) this.#apply(change);
    this.#kept = undefined;
  }

  /** Takes a change; answers whether one before it was missed, so that the list has to be asked for. */
  changed(change: Change): boolean {
    const missed = this.#version !== undefined && !change.reset && change.after !== this.#version;
    this.#version = change.version;
    const overflows = this.#kept !== undefined && this.#kept.push(change) > maxKept;
    if (overflows) this.#kept?.shift();
    if (this.#isWhole) this.#apply(change);
    return missed || overflows;
  }

  #apply({ reset, joins, leaves }: Change): void {
    if (reset) {
      this.#members.clear();
      this.#truncated = false;
    }
    for (const user of leaves) this.#members.delete(user);
    for (const member of joins) this.#members.set(member.user, member);
  }
}

/** Who came and who left between two lists. */
export function difference(before: readonly Member[], after: readonly Member[]): { joined: Member[]; left: Member[] } {
  const [were, are] = [before, after].map((members) => new Set(members.map(({ user }) => user))) as [Set<string>, Set<string>];
  return { joined: after.filter(({ user }) => !were.has(user)), left: before.filter(({ user }) => !are.has(user)) };
}

export function readMembers(list: unknown): Member[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((member: unknown): Member[] => {
    if (!isObject(member) || typeof member.user !== "string") return [];
    const { user, connections, since } = member;
    return [{ user, connections: typeof connections === "number" ? connections : 1, since: new Date(typeof since === "string" ? since : NaN) }];
  });
}

/** Reads a message of `presence.<c>`; undefined for what is none. */
export function readChange(body: unknown): Change | undefined {
  if (!isObject(body) || typeof body.version !== "number") return undefined;
  const leaves = readMembers(body.leaves).map(({ user }) => user);
  const after = typeof body.after === "number" ? body.after : 0;
  return { version: body.version, after, reset: body.reset === true, joins: readMembers(body.joins), leaves };
}
