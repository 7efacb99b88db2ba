import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { type Msg, type NatsConnection } from "@nats-io/nats-core";
import type { Context } from "../src/context.ts";
import { deferred } from "../src/deferred.ts";
import { UnavailableError } from "../src/errors.ts";
import { PresenceWatch } from "../src/watch.ts";

/** Lets everything run that needs nobody else. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const change = (version: number, user: string): Msg =>
  ({ string: () => JSON.stringify({ version, after: version - 1, joins: [{ user, connections: 1, since: "2026-01-19T12:00:00Z" }] }) }) as Msg;

test("a list that cannot be asked for does not keep the subscription from being made again", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const nats = {} as NatsConnection;
  const subjects: string[] = [];
  const answers = [deferred<unknown>(), deferred<unknown>()];
  let asked = 0;
  const watch = new PresenceWatch(
    {
      link: { nats, state: "connected" },
      feeds: { listen: (subject: string) => subjects.push(subject), leave: () => {} },
      requests: { json: () => answers[asked++]?.promise ?? Promise.resolve({ members: [] }) },
      participants: new Set(),
    } as unknown as Context,
    "c1",
    {},
  );
  const started = watch.start();
  watch.ready();
  answers[0]?.resolve({ members: [] });
  await started;

  watch.message(change(1, "bob"));
  watch.message(change(3, "carol")); // one is missing: the list is asked for
  const unavailable = new UnavailableError("unavailable", "not just now");
  watch.refused("presence.c1", unavailable);
  answers[1]?.reject(unavailable);
  await settle();
  mock.timers.tick(60_000);
  assert.deepEqual(subjects, ["presence.c1", "presence.c1"]);
  watch.unsubscribe();
});
