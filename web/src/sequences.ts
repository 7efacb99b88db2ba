// Which sequences were drawn already. The snapshot and the live messages
// overlap, and a resumed connection replays: the sequence tells doubles apart.

/** Subject → highest sequence drawn. */
export type Sequences = ReadonlyMap<string, number>;

export const noSequences: Sequences = new Map();

/** Whether this one was drawn before. One without a sequence never was. */
export function isDouble(seen: Sequences, subject: string, seq: number | null): boolean {
  return seq !== null && seq <= (seen.get(subject) ?? 0);
}

export function remember(seen: Sequences, subject: string, seq: number | null): Sequences {
  return seq === null || isDouble(seen, subject, seq) ? seen : new Map(seen).set(subject, seq);
}

/**
 * Whether the stream must have begun anew: what was drawn before a snapshot was
 * asked for cannot lie beyond its end, unless the sequences are another stream's.
 */
export function startedOver(before: Sequences, upTo: number): boolean {
  return [...before.values()].some((seq) => seq > upTo);
}
