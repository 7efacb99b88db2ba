import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const limitBytes = 15_000;

test(`an application with the whole client grows by less than ${limitBytes} bytes, minified and gzipped, nats-core aside`, async (t) => {
  const root = mkdtempSync(join(tmpdir(), "statuswire-size-"));
  t.after(() => rmSync(root, { recursive: true }));
  const source = fileURLToPath(new URL("../../src/mod.ts", import.meta.url));
  writeFileSync(join(root, "main.js"), `import * as statuswire from ${JSON.stringify(source)};\nglobalThis.statuswire = statuswire;\n`);
  const output = await build({
    root,
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      target: "es2022",
      modulePreload: { polyfill: false },
      rolldownOptions: { input: join(root, "main.js"), external: ["@nats-io/nats-core"] },
    },
  });
  assert.ok("output" in output && output.output.length === 1);
  const [{ code }] = output.output;
  assert.match(code, /@nats-io\/nats-core/);
  const bytes = gzipSync(code, { level: 9 }).length;
  t.diagnostic(`${bytes} bytes, ${code.length} before gzip`);
  assert.ok(bytes < limitBytes, `${bytes} bytes`);
  assert.ok(bytes > limitBytes / 3, `${bytes} bytes: is all of it there?`);
});
