// What the clients of the chaos test and the Go test that runs them say to each
// other.
import { readFile } from "node:fs/promises";

let ended = false;

/** Reads the plan, and ends the process with its standard input. */
export async function readPlan() {
  process.stdin.on("end", () => {
    ended = true;
    process.exit();
  });
  process.stdin.resume();
  return JSON.parse(await readFile(process.argv[2], "utf8"));
}

/** Tells the test something of one client. */
export function say(client, what) {
  if (!ended) process.stdout.write(`${JSON.stringify({ client, ...what })}\n`);
}
