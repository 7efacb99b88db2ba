// Browsers of the chaos test: nats-core and nats.ws as they are published, with a
// unique name, which makes them resumable. Everything else is how soon they try.
//
//   node chaos/unmodified.mjs PLAN    PLAN: {"url", "clients": [{"name", "token", "library", "subjects",
//                                     "covered": {"status.c1.*": ["status.c1.engine"]}}]}
//
// Prints what comes as lines of JSON, and ends with its standard input.
import { randomUUID } from "node:crypto";
import "./browser.mjs";
import { clients } from "../clients.mjs";
import { readPlan, say } from "./say.mjs";

const { url, clients: planned } = await readPlan();

for (const { name, token, library, subjects, covered } of planned) {
  const nats = clients.find((one) => one.name === library);
  void follow(nats, name, token, subjects, covered).catch((error) => say(name, { wrong: `${error.stack}` }));
}

async function follow(nats, name, token, subjects, covered) {
  const nc = await nats.connect({
    servers: url,
    token,
    name: randomUUID(),
    timeout: 5_000,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    pingInterval: 2_000,
    maxPingOut: 2,
  });
  for (const subject of subjects) {
    nc.subscribe(subject, {
      callback: (error, message) => {
        if (error) return say(name, { wrong: `${subject}: ${error.message}` });
        const first = message.headers.get("Status-Truncated");
        // Of all that the subscription covers.
        if (first) for (const one of covered[subject] ?? [subject]) say(name, { subject: one, first: Number(first) });
        say(name, { subject: message.subject, n: message.json().metadata.n, seq: Number(message.headers.get("Nats-Sequence")) });
      },
    });
  }
  void (async () => {
    for await (const status of nc.status()) {
      if (status.type === "reconnect") say(name, { reconnected: true });
    }
    say(name, { wrong: `the connection has ended: ${(await nc.closed()) ?? "no reason"}` });
  })();
  await nc.flush();
  say(name, { ready: true });
}
