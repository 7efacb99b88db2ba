// Tabs of the chaos test with our own client, which promises each status once and
// in order.
//
//   node chaos/ours.mjs PLAN    PLAN: {"url", "clients": [{"name", "token", "quick", "conversations": {"c1": ["engine"]}}]}
//
// Prints what comes as lines of JSON, and ends with its standard input.
import "./browser.mjs";
import { connect } from "../../../client/dist/mod.js";
import { readPlan, say } from "./say.mjs";

/** For a test that has little time: how soon a dead connection is noticed, and the next one tried. */
const quickly = { reconnect: { firstMillis: 200, lastMillis: 1_000 }, pingIntervalMillis: 2_000, timeoutMillis: 4_000 };

const { url, clients } = await readPlan();

for (const { name, token, quick, conversations } of clients) {
  void follow(name, token, quick, conversations).catch((error) => say(name, { wrong: `${error.stack}` }));
}

async function follow(name, token, quick, conversations) {
  const client = await connect({ servers: url, token: () => token, ...(quick ? quickly : {}) });
  client.on((event) => {
    if (event.type === "connected") say(name, { reconnected: true });
    if (event.type === "closed") say(name, { wrong: `the client has given up: ${event.error}` });
  });
  await Promise.all(
    Object.entries(conversations).map(([id, categories], i) => {
      const told = {
        onTruncated: ({ firstSequence }) => {
          for (const category of categories) say(name, { subject: `status.${id}.${category}`, first: firstSequence });
        },
        onEnd: (error) => say(name, { wrong: `the subscription to ${id} has ended: ${error}` }),
      };
      return subscribe(client.conversation(id), categories, told, i % 2 === 0, (status) =>
        say(name, { subject: `status.${id}.${status.category}`, n: status.metadata.n, seq: status.sequence }),
      );
    }),
  );
  say(name, { ready: true });
}

/** Subscribes, and is called with each status, or takes each. */
async function subscribe(conversation, categories, told, called, got) {
  if (called) return void (await conversation.subscribe(categories, { ...told, onStatus: got }));
  const subscription = await conversation.subscribe(categories, told);
  void (async () => {
    for await (const status of subscription) got(status);
  })();
}
