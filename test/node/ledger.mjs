// What the server must have written to its audit because of these tests: each
// test notes what it provokes, and the Go test that ran them compares.
import { appendFileSync } from "node:fs";

const file = process.env.STATUSWIRE_LEDGER;

/**
 * Notes `count` events of a kind, of a user, or of an address where there is no
 * user yet. What is not given is not in the record either.
 */
export function expectAudit({ kind, user, address, limit, subject, dry_run, count = 1 }) {
  if (file) appendFileSync(file, `${JSON.stringify({ kind, user, address, limit, subject, dry_run, count })}\n`);
}

/** Notes a token, which must be in no record, log or metric; answers it. */
export function noteSecret(secret) {
  if (file) appendFileSync(file, `${JSON.stringify({ secret })}\n`);
  return secret;
}
