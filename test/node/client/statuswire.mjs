// A server of a test's own, that it may kill and start again, and what a test of
// the client needs beside it. The client is the one that was built into client/dist.
import { execFile, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { jetstream } from "@nats-io/jetstream";
import { connect as connectService, nkeyAuthenticator } from "@nats-io/transport-node";
import WebSocket from "ws";
import * as statuswire from "../../../client/dist/mod.js";
import { until } from "../until.mjs";

const bin = process.env.STATUSWIRE_BIN;
if (!bin) throw new Error("STATUSWIRE_BIN is not set: run these tests by `make test-e2e`");

const unique = () => randomBytes(4).toString("hex");

export class Server {
  #data = mkdtempSync(join(tmpdir(), "statuswire-client-"));
  #config;
  #process;
  #log = "";
  #endpoints;
  #services = [];

  /** Starts one; it ends with the test, or with the file when `t` is left out. */
  static async start(t, config = "") {
    const server = new Server();
    server.#config = join(server.#data, "statuswire.conf");
    writeFileSync(server.#config, config);
    await server.launch();
    t?.after(() => server.close());
    return server;
  }

  /** Starts the process, at the addresses of the last time. */
  async launch() {
    const endpoints = join(this.#data, "endpoints.json");
    await rm(endpoints, { force: true });
    const { http = "http://127.0.0.1:0", nats = "nats://127.0.0.1:0" } = this.#endpoints ?? {};
    const [listen, natsListen] = [http, nats].map((url) => url.split("//")[1]);
    const args = ["serve", "--data", this.#data, "--http", listen, "--nats-listen", natsListen, "--config", this.#config];
    this.#process = spawn(bin, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process.stderr.on("data", (piece) => (this.#log += piece));
    await until(async () => {
      if (this.#process.exitCode !== null) throw new Error(`the server ended:\n${this.#log}`);
      this.#endpoints = JSON.parse(await readFile(endpoints, "utf8").catch(() => "null")) ?? this.#endpoints;
      return this.#endpoints !== undefined && (await fetch(`${this.#endpoints.http}/readyz`).then(({ ok }) => ok, () => false));
    }, "the server to be ready");
  }

  get ws() {
    return this.#endpoints.ws;
  }

  get port() {
    return Number(new URL(this.#endpoints.http).port);
  }

  get data() {
    return this.#data;
  }

  /** kill -9, or another signal; waits for the end. */
  async kill(signal = "SIGKILL") {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill(signal);
    await ended;
  }

  /** Removes a stream's files; the process must not run. */
  async forget(stream) {
    const paths = (await readdir(this.#data, { recursive: true })).filter((path) => path.endsWith(`streams/${stream}`));
    if (paths.length !== 1) throw new Error(`the files of ${stream} are not in one place: ${paths}`);
    await rm(join(this.#data, paths[0]), { recursive: true });
  }

  async close() {
    for (const nc of this.#services) await nc.close();
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.kill();
    rmSync(this.#data, { recursive: true, force: true });
  }

  async run(...args) {
    return (await promisify(execFile)(bin, [...args, "--data", this.#data])).stdout.trim();
  }

  async newUser(name = "user") {
    const user = `${name}-${unique()}`;
    return { user, token: await this.run("token", "--user", user) };
  }

  async newConversation(owner, ...flags) {
    const id = `c-${unique()}`;
    await this.run("conversation", "create", id, "--owner", owner, ...flags);
    return id;
  }

  /** Signs a token as the application would. */
  async sign(user, seconds) {
    const secret = (await readFile(join(this.#data, "keys", "token.secret"), "utf8")).trim();
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const exp = Math.floor(Date.now() / 1000) + seconds;
    const head = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, exp, jti: unique() })}`;
    return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
  }

  async #connect(key) {
    const seed = (await readFile(join(this.#data, "keys", `${key}.nk`), "utf8")).trim();
    const authenticator = nkeyAuthenticator(new TextEncoder().encode(seed));
    const nc = await connectService({ servers: this.#endpoints.nats, authenticator, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    this.#services.push(nc);
    return nc;
  }

  /** Publishes; answers the sequence. It is safe to publish again with the same id. */
  async publisher() {
    const js = jetstream(await this.#connect("service"), { timeout: 2_000 });
    return async (conversation, category, text, more = {}) => {
      const { seq } = await js.publish(`status.${conversation}.${category}`, JSON.stringify({ text, ...more }));
      return seq;
    };
  }

  /** A client that ends with the test. */
  async connect(t, options) {
    const client = await statuswire.connect({ servers: this.ws, WebSocket, reconnect: { firstMillis: 100, lastMillis: 500 }, ...options });
    t.after(() => client.close());
    return client;
  }
}

/** Everything that a client tells, to be waited for. */
export class Events {
  list = [];
  add = (event) => void this.list.push(event);

  count(type) {
    return this.list.filter((event) => event.type === type).length;
  }

  async atLeast(count, type) {
    await until(() => this.count(type) >= count, () => `${count} times ${type}; there are ${JSON.stringify(this.list)}`);
    return this.list.filter((event) => event.type === type);
  }
}

/** Takes everything of a subscription into a list. */
export function collect(subscription) {
  const statuses = [];
  const end = (async () => {
    for await (const status of subscription) statuses.push(status);
  })().then(
    () => undefined,
    (error) => error,
  );
  return { statuses, end };
}
