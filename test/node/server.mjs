// The running server, as the environment names it, and what a test needs of it:
// users with their tokens, conversations, and a service that publishes.
import { execFile } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import { noteSecret } from "./ledger.mjs";
import { until } from "./until.mjs";

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests by \`make test-e2e\`, which starts a server`);
  return value;
}

export const ws = required("STATUSWIRE_WS");
const nats = required("STATUSWIRE_NATS");
const data = required("STATUSWIRE_DATA");
const bin = required("STATUSWIRE_BIN");

/** Runs the command line against the server's data folder; answers its output. */
export async function statuswire(...args) {
  const { stdout } = await promisify(execFile)(bin, [...args, "--data", data]);
  return stdout.trim();
}

const unique = () => randomBytes(6).toString("hex");

/** A user of this test alone, so that no test spends another's limits. */
export async function newUser(name = "user") {
  const user = `${name}-${unique()}`;
  return { user, token: noteSecret(await statuswire("token", "--user", user)) };
}

/** A new conversation of that user; answers its id. */
export async function newConversation(owner, ...flags) {
  const id = `c-${unique()}`;
  await statuswire("conversation", "create", id, "--owner", owner, ...flags);
  return id;
}

/** Waits until the server has so many connections of the user: a closed one may end a moment later. */
export async function connectionsOf(user, count) {
  const list = () => statuswire("session", "list", "--json", "--user", user);
  await until(async () => (await list()).split("\n").filter(Boolean).length === count, async () => `${count} connections; there are ${await list()}`, 5_000);
}

/** Signs a token as the application would, with whatever claims. */
export async function signToken(claims) {
  const secret = (await readFile(join(data, "keys", "token.secret"), "utf8")).trim();
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const head = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return noteSecret(`${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`);
}

export const inSeconds = (seconds) => Math.floor(Date.now() / 1000) + seconds;

/** Connects over TCP with a key of the data folder. Only services have the default inboxes. */
export async function connectAs(name) {
  const seed = (await readFile(join(data, "keys", `${name}.nk`), "utf8")).trim();
  const inboxPrefix = name === "service" ? undefined : `_INBOX_${name}`;
  return connect({ servers: nats, authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)), inboxPrefix });
}

/** A backend service: it connects with its nkey and publishes. */
export async function startService() {
  const nc = await connectAs("service");
  const js = jetstream(nc);
  return {
    /** Publishes and answers the stream's acknowledgement. */
    publish: (conversation, category, text, more = {}) =>
      js.publish(`status.${conversation}.${category}`, JSON.stringify({ text, ...more })),
    /** Hears statuses, as one of a queue group. */
    follow: async (subject, queue, heard) => {
      nc.subscribe(subject, { queue, callback: (error, message) => heard(error ?? message.json().text) });
      await nc.flush();
    },
    close: () => nc.close(),
  };
}

/** A service that may do what no shipped configuration allows: change the stream. */
export async function startStreamOperator() {
  const nc = await connectAs("service");
  const { streams } = await jetstreamManager(nc);
  return {
    /** The stream stores what do publishes, acknowledges it, and sends it to nobody. */
    async withoutRepublish(publish) {
      const { config } = await streams.info("STATUS");
      await streams.update("STATUS", { ...config, republish: undefined });
      try {
        await publish();
      } finally {
        await streams.update("STATUS", config);
      }
    },
    /** Removes the stream and makes it again, empty. */
    async makeAnew() {
      const { config } = await streams.info("STATUS");
      await streams.delete("STATUS");
      await streams.add(config);
    },
    close: () => nc.close(),
  };
}
