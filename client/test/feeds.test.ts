import assert from "node:assert/strict";
import { test } from "node:test";
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { Feeds, type Listener } from "../src/feeds.ts";
import { Pacer } from "../src/pacer.ts";

type Callback = (error: Error | null, message: Msg) => void;

/** A connection that notes what is sent, and answers a flush when the test says so. */
class Wire {
  readonly sent: string[] = [];
  readonly callbacks = new Map<string, Callback>();
  readonly #flushes: (() => void)[] = [];

  subscribe(subject: string, { callback }: { callback: Callback }): { unsubscribe(): void } {
    this.sent.push(`SUB ${subject}`);
    this.callbacks.set(subject, callback);
    return { unsubscribe: () => void this.sent.push(`UNSUB ${subject}`) };
  }

  flush(): Promise<void> {
    this.sent.push("PING");
    return new Promise((resolve) => this.#flushes.push(resolve));
  }

  pong(): void {
    for (const resolve of this.#flushes.splice(0)) resolve();
  }

  isClosed(): boolean {
    return false;
  }

  get nats(): NatsConnection {
    return this as unknown as NatsConnection;
  }
}

class Ear implements Listener {
  readonly heard: string[] = [];

  ready(subject: string): void {
    this.heard.push(`ready ${subject}`);
  }

  message({ subject }: Msg): void {
    this.heard.push(subject);
  }

  refused(subject: string, { kind }: { kind: string }): void {
    this.heard.push(`refused ${subject} ${kind}`);
  }
}

/** Lets everything run that needs nobody else. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function connected(): { feeds: Feeds; wire: Wire } {
  const feeds = new Feeds(new Pacer());
  const wire = new Wire();
  feeds.connected(wire.nats);
  return { feeds, wire };
}

test("a subject is ready when the server has answered what was sent after its SUB", async () => {
  const { feeds, wire } = connected();
  const ear = new Ear();
  feeds.listen("a", ear);
  feeds.listen("b", ear);
  await settle();
  assert.deepEqual(wire.sent, ["SUB a", "SUB b", "PING"]);
  assert.deepEqual(ear.heard, []);
  wire.pong();
  await settle();
  assert.deepEqual(ear.heard, ["ready a", "ready b"]);
});

test("who comes while others are on their way is ready after the next answer, not by theirs", async () => {
  const { feeds, wire } = connected();
  const [first, second] = [new Ear(), new Ear()];
  feeds.listen("a", first);
  await settle();
  feeds.listen("b", second);
  await settle();
  wire.pong();
  await settle();
  assert.deepEqual([first.heard, second.heard], [["ready a"], []]);
  assert.deepEqual(wire.sent, ["SUB a", "PING", "SUB b", "PING"]);
  wire.pong();
  await settle();
  assert.deepEqual(second.heard, ["ready b"]);
});

test("two who listen to the same share a SUB, which ends with the last of them", async () => {
  const { feeds, wire } = connected();
  const [first, second] = [new Ear(), new Ear()];
  feeds.listen("a", first);
  await settle();
  wire.pong();
  await settle();
  feeds.listen("a", second);
  await settle();
  wire.callbacks.get("a")?.(null, { subject: "a" } as Msg);
  assert.deepEqual([first.heard, second.heard], [["ready a", "a"], ["ready a", "a"]]);
  feeds.leave("a", first);
  feeds.leave("a", first);
  assert.deepEqual(wire.sent, ["SUB a", "PING"]);
  feeds.leave("a", second);
  assert.deepEqual(wire.sent, ["SUB a", "PING", "UNSUB a"]);
});

test("a refusal is told to all who listen, and what is listened to again is sent again", async () => {
  const { feeds, wire } = connected();
  const [first, second] = [new Ear(), new Ear()];
  for (const ear of [first, second]) feeds.listen("status.c.a", ear);
  await settle();
  wire.callbacks.get("status.c.a")?.(new Error('Permissions Violation for Subscription to "status.c.a": conversation "c" is not found or not yours'), {} as Msg);
  wire.pong();
  await settle();
  for (const ear of [first, second]) assert.deepEqual(ear.heard, ["refused status.c.a not_theirs"]);
  feeds.listen("status.c.a", first);
  await settle();
  wire.pong();
  await settle();
  assert.deepEqual(wire.sent, ["SUB status.c.a", "PING", "SUB status.c.a", "PING"]);
  assert.deepEqual([first.heard.at(-1), second.heard.length], ["ready status.c.a", 1]);
});

test("all are sent again on the next connection, also when the last one ended before it answered", async () => {
  const { feeds, wire } = connected();
  const ear = new Ear();
  feeds.listen("a", ear);
  await settle();
  const late = wire.callbacks.get("a");
  feeds.disconnected();
  const next = new Wire();
  feeds.connected(next.nats);
  await settle();
  assert.deepEqual([next.sent, ear.heard], [["SUB a", "PING"], []]);
  late?.(null, { subject: "from the old one" } as Msg);
  wire.pong();
  next.pong();
  await settle();
  assert.deepEqual(ear.heard, ["ready a"]);
});

test("who listens at any moment after the connection has come is not overlooked", async () => {
  for (let ticks = 0; ticks < 12; ticks++) {
    const { feeds, wire } = connected();
    for (let i = 0; i < ticks; i++) await Promise.resolve();
    feeds.listen("a", new Ear());
    await settle();
    assert.deepEqual(wire.sent, ["SUB a", "PING"], `after ${ticks} microtasks`);
  }
});

test("who leaves before anything is sent costs nothing", async () => {
  const { feeds, wire } = connected();
  const ear = new Ear();
  feeds.listen("a", ear);
  feeds.leave("a", ear);
  await settle();
  assert.deepEqual([wire.sent, ear.heard], [[], []]);
});

test("more than the server would take at once is spread over time", { timeout: 10_000 }, async () => {
  const pacer = new Pacer();
  const began = performance.now();
  for (let i = 0; i < 60; i++) await pacer.take();
  const took = performance.now() - began;
  assert.ok(took >= 450, `60 were sent within ${took} ms`); // 40 at once, then 40 a second
});
