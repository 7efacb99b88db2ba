// The package as npm would publish it: packed, installed into an empty project,
// type-checked in both ways that applications resolve modules, bundled by Vite,
// and run in Chromium while its tab sleeps and its network goes away.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Chromium } from "./chromium.mjs";
import { Proxy } from "./proxy.mjs";
import { Server } from "./statuswire.mjs";
import { until } from "../until.mjs";

const client = fileURLToPath(new URL("../../../client", import.meta.url));
const run = (command, args, cwd) => promisify(execFile)(command, args, { cwd, maxBuffer: 1 << 24 });

/** What the README says to put into an application. */
async function readmeSnippet() {
  const [, snippet] = (await readFile(join(client, "README.md"), "utf8")).match(/```ts\n(import [\s\S]*?)```/) ?? [];
  assert.ok(snippet, "the README begins with no snippet");
  return snippet;
}

const tsconfig = (options) => ({
  compilerOptions: { target: "es2022", lib: ["es2022", "dom", "dom.iterable"], types: [], strict: true, noEmit: true, ...options },
  include: ["src"],
});

/** All that the package offers, used as an application would. */
const everything = `
import {
  AccessError, type Client, type ClientEvent, connect, LimitError, type Place, type Presence, type Status,
  StatuswireError, type Subscription, type Truncation,
} from "@statuswire/client";

export async function use(): Promise<void> {
  const client: Client = await connect({
    servers: ["wss://a.example", "wss://b.example"],
    token: () => "token",
    onEvent: (event: ClientEvent) => { if (event.type === "disconnected") console.log(event.error.kind); },
    signal: AbortSignal.timeout(1_000),
  });
  const conversation = client.conversation("c1");
  const subscription: Subscription = await conversation.subscribe(["engine"], {
    snapshot: true,
    onTruncated: ({ firstSequence, reason }: Truncation) => console.log(firstSequence, reason),
  });
  const place: Place = subscription.place;
  try {
    for await (const status of subscription) {
      const { text, timestamp, metadata }: Status = status;
      console.log(text, timestamp.getTime(), metadata.step);
      // @ts-expect-error a status cannot be changed
      status.text = "";
    }
  } catch (error) {
    if (error instanceof LimitError) console.log(error.limit, error.retryAfterMillis);
    else if (error instanceof AccessError) console.log(error.kind === "access_ended");
    else if (!(error instanceof StatuswireError)) throw error;
  }
  await conversation.subscribe({ from: place, onStatus: (status) => console.log(status.sequence) });
  const presence: Presence = await conversation.presence();
  for await (const { members, joined } of presence) console.log(members.length, joined[0]?.user);
  for await (const status of conversation.history({ after: place, minPriority: "high" })) console.log(status.id);
  // @ts-expect-error there is no such priority
  conversation.history({ minPriority: "loud" });
  console.log((await client.subscriptions()).limits.categories?.left, (await conversation.join()).categories);
  await client[Symbol.asyncDispose]();
}
`;

describe("the package in an application", { concurrency: false }, () => {
  let project;
  before(async () => {
    project = mkdtempSync(join(tmpdir(), "statuswire-app-"));
    const packed = JSON.parse((await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], client)).stdout);
    await writeFile(join(project, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
    const files = packed[0].files.map(({ path }) => path);
    assert.ok(["README.md", "LICENSE", "package.json", "dist/mod.js", "dist/mod.d.ts"].every((path) => files.includes(path)), `${files}`);
    assert.ok(files.every((path) => /^(dist\/|README|LICENSE|package\.json)/.test(path)), `${files}`);
    const core = JSON.parse(await readFile(join(client, "package.json"), "utf8")).devDependencies["@nats-io/nats-core"];
    await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", join(project, packed[0].filename), `@nats-io/nats-core@${core}`], project);
    await mkdir(join(project, "src"));
  });
  after(() => rmSync(project, { recursive: true, force: true }));

  for (const [resolution, options] of [
    ["node16", { module: "node16", moduleResolution: "node16" }],
    ["bundler", { module: "esnext", moduleResolution: "bundler" }],
  ]) {
    test(`it type-checks with moduleResolution ${resolution}`, async () => {
      await writeFile(join(project, "src", "main.ts"), `${await readmeSnippet()}export {};\n`);
      await writeFile(join(project, "src", "everything.ts"), everything);
      await writeFile(join(project, "tsconfig.json"), JSON.stringify(tsconfig(options)));
      await run("node", [join(client, "node_modules", "typescript", "bin", "tsc"), "-p", project], project).catch((error) => {
        assert.fail(error.stdout || error.message);
      });
    });
  }

  test("Node imports it", async () => {
    const code = 'import("@statuswire/client").then((m) => console.log(typeof m.connect, Object.keys(m).length > 8))';
    assert.equal((await run("node", ["-e", code], project)).stdout, "function true\n");
  });

  describe("in Chromium", () => {
    let chromium;
    before(async () => {
      chromium = await Chromium.launch();
    });
    after(() => chromium?.close());

    /** Bundles an application of this source and opens it in a tab. */
    async function openApp(t, source, endpoints) {
      const folder = join(project, `app-${Math.random().toString(36).slice(2)}`);
      await mkdir(folder);
      await writeFile(join(folder, "main.ts"), source);
      await writeFile(join(folder, "index.html"), `<!doctype html><title>app</title><script>${noteErrors}</script><script type="module" src="./main.ts"></script>`);
      const { build } = await import(join(client, "node_modules", "vite", "dist", "node", "index.js"));
      await build({ root: folder, configFile: false, logLevel: "error", build: { target: "es2022" } });
      return chromium.open(t, await serve(t, join(folder, "dist"), endpoints));
    }

    test("what the README says works as pasted", { timeout: 60_000 }, async (t) => {
      const origin = await freePort();
      const server = await Server.start(t, `allowed_origins: ["http://127.0.0.1:${origin}"]\n`);
      const { user, token } = await server.newUser();
      await server.run("conversation", "create", "demo", "--owner", user);
      const publish = await server.publisher();
      await publish("demo", "engine", "before");
      const source = (await readmeSnippet()).replace("wss://status.example.com", server.ws);
      let failures = 2; // of the application's own server, while it is restarted for instance
      const answerToken = (response) => (failures-- > 0 ? response.writeHead(502).end("<h1>Bad Gateway</h1>") : response.end(token));
      const tab = await openApp(t, source, { port: origin, "/api/statuswire-token": answerToken });
      const lines = () => tab.value("lines");
      await until(async () => (await lines())?.includes("engine before"), async () => `the snapshot; there is ${await lines()}`);
      await publish("demo", "tool", "live");
      await until(async () => (await lines())?.includes("tool live"), async () => `the live one; there is ${await lines()}`);
      assert.deepEqual(await tab.value("errors"), []);
    });

    /** An application that follows a new conversation, behind a network that the test may cut. */
    async function openFollower(t) {
      const origin = await freePort();
      const server = await Server.start(t, `allowed_origins: ["http://127.0.0.1:${origin}"]\n`);
      const proxy = await Proxy.start(t, server.port);
      const { user, token } = await server.newUser();
      const c = await server.newConversation(user);
      const source = `
        import { connect } from "@statuswire/client";
        const told = { texts: [] as string[], events: [] as string[], lifecycle: [] as string[] };
        Object.assign(globalThis, { told });
        for (const type of ["freeze", "resume"]) document.addEventListener(type, () => told.lifecycle.push(type));
        for (const type of ["online", "offline"]) addEventListener(type, () => told.lifecycle.push(type));
        const client = await connect({
          servers: ${JSON.stringify(proxy.ws)},
          token: async () => (await fetch("/token")).text(),
          onEvent: (event) => told.events.push("error" in event ? \`\${event.type}: \${event.error?.kind}\` : event.type),
          reconnect: { firstMillis: 100, lastMillis: 1_000 },
        });
        const subscription = await client.conversation(${JSON.stringify(c)}).subscribe();
        told.events.push("subscribed");
        for await (const { text } of subscription) told.texts.push(text);
      `;
      const tab = await openApp(t, source, { port: origin, "/token": token });
      const publish = await server.publisher();
      const follower = {
        server,
        proxy,
        tab,
        published: 0,
        told: () => tab.value("told"),
        /** How often the application heard of this. */
        async heard(event) {
          return (await follower.told()).events.filter((one) => one.startsWith(event)).length;
        },
        /** Publishes so many more. */
        async publish(count) {
          for (const end = follower.published + count; follower.published < end; follower.published++) {
            const text = `${follower.published + 1}`;
            const once = () => publish(c, categories[follower.published % 2], text, { id: text });
            await until(() => once().then(() => true, () => false), "the server to take a status");
          }
        },
        /** What is promised whatever happened: everything is there, once, and in the order of its category. */
        async hasAll() {
          await until(async () => (await follower.told()).texts.length >= follower.published, async () => `all; there is ${JSON.stringify(await follower.told())}`);
          const { texts, events } = await follower.told();
          const expected = Array.from({ length: follower.published }, (_, i) => `${i + 1}`);
          for (const i of categories.keys()) {
            const ofOne = (text) => (Number(text) - 1) % 2 === i;
            assert.deepEqual(texts.filter(ofOne), expected.filter(ofOne), categories[i]);
          }
          assert.equal(texts.length, follower.published, `${texts}`);
          assert.equal(events.includes("truncated"), false);
          assert.deepEqual(await tab.value("errors"), []);
        },
      };
      await until(async () => (await follower.told())?.events.includes("subscribed"), "the subscription");
      await follower.publish(20);
      await follower.hasAll();
      return follower;
    }

    // What a browser does with the socket of a tab that sleeps is the browser's: some
    // versions leave it open, some end it, when it falls asleep or when it wakes up.
    // So the test brings both about by itself, and leaves it to the browser once.
    test("a tab that sleeps loses nothing and doubles nothing, whatever its browser does with the socket", { timeout: 60_000 }, async (t) => {
      const { tab, told, publish, hasAll } = await openFollower(t);
      for (let nights = 1; nights <= 2; nights++) {
        await tab.sleep(t);
        await publish(30);
        await tab.wake();
        await publish(5);
        await hasAll();
        assert.equal((await told()).lifecycle.join(), Array(nights).fill("freeze,resume").join());
      }
    });

    test("a tab that stands still with its socket open loses nothing and doubles nothing", { timeout: 60_000 }, async (t) => {
      const { tab, proxy, publish, hasAll } = await openFollower(t);
      const { connections } = proxy;
      await tab.standStill(t);
      await publish(30);
      assert.deepEqual([proxy.open, proxy.connections], [1, connections], "connections: the socket was to be kept");
      await tab.goOn();
      await publish(5);
      await hasAll();
    });

    test("a tab whose socket is cut while it stands still loses nothing and doubles nothing", { timeout: 60_000 }, async (t) => {
      const { tab, proxy, heard, publish, hasAll } = await openFollower(t);
      await tab.standStill(t);
      await publish(10); // into the socket, whose page does not read
      proxy.refuse(true);
      proxy.cut();
      await publish(30);
      proxy.refuse(false);
      assert.equal(proxy.open, 0);
      await tab.goOn();
      await publish(5);
      await hasAll();
      assert.equal(await heard("disconnected"), 1);
    });

    test("a tab whose socket is cut while it sleeps loses nothing and doubles nothing", { timeout: 60_000 }, async (t) => {
      const { tab, proxy, heard, publish, hasAll } = await openFollower(t);
      await tab.sleep(t);
      await publish(10);
      proxy.refuse(true);
      proxy.cut();
      await publish(30);
      proxy.refuse(false);
      await tab.wake();
      await publish(5);
      await hasAll();
      assert.ok((await heard("disconnected")) >= 1);
    });

    test("a tab that sleeps while the server is killed and comes back loses nothing and doubles nothing", { timeout: 60_000 }, async (t) => {
      const { tab, server, heard, publish, hasAll } = await openFollower(t);
      await tab.sleep(t);
      await publish(15);
      await server.kill();
      await server.launch();
      await publish(15);
      await tab.wake();
      await publish(5);
      await hasAll();
      assert.ok((await heard("disconnected")) >= 1);
    });

    test("a page notices a network that fell silent when it is shown again", { timeout: 60_000 }, async (t) => {
      const { tab, proxy, heard, publish, hasAll } = await openFollower(t);
      proxy.silence();
      await publish(5);
      await tab.hide(t);
      await tab.show();
      await hasAll();
      assert.ok((await heard("disconnected: no_answer")) >= 1);
    });

    // Some versions of Chromium leave open WebSockets alone when they are offline: they are cut too.
    test("a tab that was offline loses nothing and doubles nothing", { timeout: 60_000 }, async (t) => {
      const follower = await openFollower(t);
      const { tab, proxy, told, heard, publish, hasAll } = follower;
      await tab.setOffline(true);
      proxy.refuse(true);
      proxy.cut();
      await publish(40);
      await until(async () => (await heard("reconnecting")) >= 3, "some attempts in vain");
      assert.equal((await told()).texts.length, follower.published - 40);
      proxy.refuse(false);
      await tab.setOffline(false);
      await publish(5);
      await hasAll();
      assert.deepEqual((await told()).lifecycle, ["offline", "online"]);
    });
  });
});

const categories = ["engine", "tool"];

/** Keeps what a page logs, and the errors that nobody caught. */
const noteErrors = `
  var lines = [], errors = [];
  console.log = (...words) => lines.push(words.join(" "));
  addEventListener("error", (event) => errors.push(event.message));
  addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
`;

/** A port that was free a moment ago; the server must know the page's origin before there is a page. */
async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

const types = { ".html": "text/html", ".js": "text/javascript" };

/** Serves a folder, and by their path some texts, or what a function answers; answers the address. */
async function serve(t, folder, { port, ...texts }) {
  const web = createServer(async (request, response) => {
    const path = request.url === "/" ? "/index.html" : request.url;
    if (typeof texts[path] === "function") {
      texts[path](response);
      return;
    }
    if (texts[path] !== undefined) {
      response.end(texts[path]);
      return;
    }
    const file = (await readdir(folder, { recursive: true })).find((name) => `/${name}` === path);
    if (file === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "Content-Type": types[extname(file)] ?? "text/plain" }).end(await readFile(join(folder, file)));
  });
  await new Promise((resolve) => web.listen(port, "127.0.0.1", resolve));
  t.after(() => new Promise((resolve) => {
    web.closeAllConnections();
    web.close(resolve);
  }));
  return `http://127.0.0.1:${port}/`;
}
