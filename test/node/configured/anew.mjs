// The stream of statuses is removed and made again while the server runs and
// everybody listens. Run by TestAStreamThatIsMadeAnewUnderARunningServer.
import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";
import { connect } from "../../../client/dist/mod.js";
import { newConversation, newUser, startService, startStreamOperator, ws } from "../server.mjs";
import { until } from "../until.mjs";

test("who listens is told, and gets all of the new stream", async (t) => {
  const { user, token } = await newUser();
  const c = await newConversation(user);
  const service = await startService();
  t.after(() => service.close());
  const operator = await startStreamOperator();
  t.after(() => operator.close());
  const client = await connect({ servers: ws, token, WebSocket });
  t.after(() => client.close());
  const story = [];
  await client.conversation(c).subscribe({
    onStatus: ({ text }) => void story.push(text),
    onTruncated: ({ reason }) => void story.push(reason),
  });
  for (let i = 1; i <= 5; i++) await service.publish(c, "engine", `old ${i}`);
  await until(() => story.length === 5, () => `the old ones; there is ${story}`, 20_000);
  await operator.makeAnew();
  const all = Array.from({ length: 12 }, (_, i) => `new ${i + 1}`);
  for (const text of all) await service.publish(c, "engine", text);
  // Those with higher sequences than the old ones may come before the reset is noticed.
  const since = () => story.slice(story.lastIndexOf("reset") + 1);
  await until(() => story.includes("reset") && since().length >= all.length, () => `a reset and the new ones; there is ${story}`, 20_000);
  await service.publish(c, "engine", "live");
  await until(() => story.includes("live"), () => `what is live; there is ${story}`, 20_000);
  assert.deepEqual(since(), [...all, "live"]);
});
