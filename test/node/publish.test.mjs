// What a service in JavaScript gets back when it publishes: an acknowledgement,
// or an API error that says what was wrong.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { jetstream, JetStreamApiError } from "@nats-io/jetstream";
import { headers } from "@nats-io/nats-core";
import { connectAs, newConversation, newUser } from "./server.mjs";

function header(name, ...values) {
  const h = headers();
  for (const value of values) h.append(name, value);
  return { headers: h };
}

describe("publishing a status", () => {
  let service;
  let operator;
  let js;
  let c;
  let other;
  let delivered;

  before(async () => {
    service = await connectAs("service");
    operator = await connectAs("operator");
    js = jetstream(service);
    const { user } = await newUser("owner");
    c = await newConversation(user);
    other = await newConversation(user, "--category", "deploy");
    delivered = [];
    const ours = [c, other, "nobody-has-this"];
    operator.subscribe("status.>", {
      callback: (_, m) => ours.includes(m.subject.split(".")[1]) && delivered.push(m),
    });
    await operator.flush();
  });
  after(() => Promise.all([service.close(), operator.close()]));

  /** What was delivered, once everything published so far has gone through. */
  async function deliveredSoFar() {
    const { seq } = await js.publish(`status.${c}.info`, JSON.stringify({ text: "the last one" }));
    while (!delivered.some((m) => m.headers?.get("Nats-Sequence") === `${seq}`)) await operator.flush();
    return delivered.filter((m) => m.headers?.get("Nats-Sequence") !== `${seq}`);
  }

  const good = JSON.stringify({ text: "hi" });
  const deep = `{"text":"hi","metadata":${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}}`;
  const refusals = [
    ["unknown category", () => `status.${c}.enginee`, good, 20003, /unknown category "enginee": .* has engine, tool, workflow, progress, error, info$/],
    ["another conversation's category", () => `status.${c}.deploy`, good, 20003, /unknown category "deploy"/],
    ["wrong category", () => `status.${c}.engine`, '{"text":"hi","category":"tool"}', 20004, /category is "tool", the subject says "engine"/],
    ["no text", () => `status.${c}.engine`, '{"metadata":{}}', 20011, /text is missing/],
    ["text that is not a string", () => `status.${c}.engine`, '{"text":7}', 20012, /text is a number/],
    ["metadata that is not an object", () => `status.${c}.engine`, '{"text":"hi","metadata":[1]}', 20014, /metadata is an array/],
    ["65 KiB", () => `status.${c}.engine`, JSON.stringify({ text: "x".repeat(65 * 1024) }), 20005, /at most 65536/],
    ["invalid UTF-8", () => `status.${c}.engine`, Buffer.from('{"text":"\xff"}', "latin1"), 20006, /not valid UTF-8 at byte 9/],
    ["invalid JSON", () => `status.${c}.engine`, '{"text":"hi"', 20007, /not valid JSON/],
    ["nesting 10,000 deep", () => `status.${c}.engine`, deep, 20009, /deeper than 64 levels/],
    ["unknown conversation", () => "status.nobody-has-this.engine", good, 20002, /unknown conversation "nobody-has-this"/],
    ["a forged Nats-Sequence", () => `status.${c}.engine`, good, 20020, /header "Nats-Sequence" is not allowed/, () => header("Nats-Sequence", "999")],
    ["a forged nats-sequence", () => `status.${c}.engine`, good, 20020, /header "nats-sequence" is not allowed/, () => header("nats-sequence", "999")],
    ["an expected stream", () => `status.${c}.engine`, good, 20020, /"Nats-Expected-Stream"/, () => ({ expect: { streamName: "STATUS" } })],
  ];
  for (const [name, subject, payload, errCode, text, options] of refusals) {
    test(`${name} is an API error that says so`, async () => {
      await assert.rejects(js.publish(subject(), payload, options?.()), (error) => {
        assert.ok(error instanceof JetStreamApiError, `${error}`);
        assert.equal(error.code, errCode);
        assert.equal(error.apiError().code, 400);
        assert.match(error.message, text);
        return true;
      });
    });
  }

  test("nothing of what was refused is delivered", async () => {
    assert.deepEqual((await deliveredSoFar()).map((m) => m.subject), []);
  });

  test("an acknowledgement carries stream and sequence, the message is complete", async () => {
    delivered.length = 0;
    const ack = await js.publish(`status.${other}.deploy`, '{"text":"hi","id":"job-7","priority":"high"}', header("X-Build", "7"));
    assert.equal(ack.stream, "STATUS");
    assert.equal(ack.duplicate, false);
    const m = (await deliveredSoFar())[0];
    assert.equal(m.headers.get("Nats-Sequence"), `${ack.seq}`);
    assert.equal(m.headers.get("Nats-Msg-Id"), `${other}.deploy.job-7`);
    assert.equal(m.headers.get("Status-Id"), "job-7");
    assert.equal(m.headers.get("Status-Priority"), "high");
    assert.equal(m.headers.get("X-Build"), "7");
    const status = m.json();
    assert.equal(status.category, "deploy");
    assert.ok(Math.abs(Date.now() - Date.parse(status.timestamp)) < 60_000, status.timestamp);
  });

  test("an id makes publishing again harmless, on its own subject only", async () => {
    const first = await js.publish(`status.${c}.engine`, good, { msgID: "7" });
    const again = await js.publish(`status.${c}.engine`, good, { msgID: "7" });
    assert.deepEqual([again.seq, again.duplicate], [first.seq, true]);
    for (const subject of [`status.${c}.tool`, `status.${other}.engine`]) {
      assert.equal((await js.publish(subject, good, { msgID: "7" })).duplicate, false, subject);
    }
  });
});
