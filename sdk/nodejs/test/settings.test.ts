// Options come before the environment, that before orca.json, that before defaults.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  type AddressOptions,
  announced,
  type CoreOptions,
  look,
  parseEndpoint,
  resolveProcessor,
} from "../src/settings.js";

type Env = Record<string, string>;

function settings(env: Env, file: Record<string, unknown> = {}, options: CoreOptions & AddressOptions = {}) {
  return resolveProcessor(options, { env, file });
}

test("the order", () => {
  const env = { ORCA_CORE: "env:1" };
  const file = { orcaConnectionString: "grpc://file:2", projectName: "p", processorPort: 7 };
  assert.equal(String(settings(env, file, { core: "option:3" }).core.core), "option:3");
  assert.equal(String(settings(env, file).core.core), "env:1");
  assert.equal(String(settings({}, file).core.core), "file:2");
  assert.equal(String(settings({}).core.core), "127.0.0.1:33670");
  assert.deepStrictEqual([settings({}, file).project, settings({ PROJECT_NAME: "q" }, file).project], ["p", "q"]);
  assert.equal(String(settings({}, file).listen), "127.0.0.1:7");
  assert.throws(() => settings({}, { processorPort: true }), /orca.json: processorPort is true, and must be text/);
});

const addresses: [Env, string, string][] = [
  [{}, "127.0.0.1:5377", "127.0.0.1:5377"],
  [{ PROCESSOR_PORT: "9" }, "127.0.0.1:9", "127.0.0.1:9"],
  [{ PROCESSOR_ADDRESS: "10.0.0.1:8" }, "0.0.0.0:8", "10.0.0.1:8"],
  [{ PROCESSOR_ADDRESS: "grpcs://host:8", PROCESSOR_PORT: "9" }, "0.0.0.0:9", "grpcs://host:8"],
  [{ PROCESSOR_HOST: "host" }, "0.0.0.0:5377", "host:5377"],
  [{ PROCESSOR_HOST: "host", PROCESSOR_EXTERNAL_PORT: "80", PROCESSOR_PORT: "9" }, "0.0.0.0:9", "host:80"],
  [{ PROCESSOR_ADDRESS: "127.0.0.1:0", PROCESSOR_PORT: "9" }, "127.0.0.1:9", "127.0.0.1:9"],
  [{ PROCESSOR_ADDRESS: "[::1]:8" }, "127.0.0.1:8", "[::1]:8"],
];
for (const [env, listen, address] of addresses) {
  test(`addresses of a processor: ${JSON.stringify(env)}`, () => {
    const found = settings(env);
    assert.deepStrictEqual(
      [String(found.listen), String(announced(found, found.listen.port, false))],
      [listen, address],
    );
  });
}

test("which addresses only this machine reaches", () => {
  const local = (text: string) => parseEndpoint("x", text).local;
  const here = ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[0:0:0:0:0:0:0:1]:1"];
  const elsewhere = ["10.0.0.1:1", "host:1", "[::2]:1", "[::]:1", "0.0.0.0:1", "128.0.0.1:1", "[1::1]:1"];
  assert.deepStrictEqual(
    here.map(local),
    here.map(() => true),
  );
  assert.deepStrictEqual(
    elsewhere.map(local),
    elsewhere.map(() => false),
  );
});

test("when TLS is used", () => {
  const tls = (env: Env, options: CoreOptions = {}) => settings(env, {}, options).core.tls;
  assert.equal(tls({}), undefined);
  assert.deepStrictEqual(tls({ ORCA_ENV: "production" }), {});
  assert.deepStrictEqual(tls({ ENV: "production" }), {});
  assert.equal(tls({ ENV: "production", ORCA_ENV: "test" }), undefined);
  assert.deepStrictEqual(tls({ ORCA_CORE: "grpcs://host:1" }), {});
  assert.deepStrictEqual(tls({}, { tls: true }), {});
  assert.deepStrictEqual(tls({}, { tls: { ca: "ca.pem" } }), { ca: "ca.pem" });
});

test("tokens", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "orca-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "token");
  writeFileSync(file, " from-file\n");
  const token = (env: Env, options: CoreOptions = {}) => settings(env, {}, options).core.token;
  assert.equal(token({ ORCA_TOKEN: "env", ORCA_TOKEN_FILE: file }, { token: "option" }), "option");
  assert.equal(token({ ORCA_TOKEN: "env", ORCA_TOKEN_FILE: file }), "env");
  assert.equal(token({ ORCA_TOKEN_FILE: file }), "from-file");
  writeFileSync(file, "\n");
  assert.throws(() => token({ ORCA_TOKEN_FILE: file }), /the file is empty/);
  assert.throws(() => token({ ORCA_TOKEN_FILE: join(folder, "nowhere") }), /ENOENT/);
  assert.throws(() => token({ ORCA_TOKEN: "two words" }), /token from ORCA_TOKEN: must be visible ASCII/);
  const far = { ORCA_CORE: "10.0.0.1:1", ORCA_TOKEN: "secret" };
  assert.throws(() => token(far), /core at 10.0.0.1:1: it would cross the network in plain text; use TLS/);
  assert.equal(token(far, { tokenInClear: true }), "secret");
  assert.equal(token(far, { tls: true }), "secret");
});

for (const [text, words] of [
  ["host", /core address "host": must be host:port, grpc:\/\/host:port or grpcs:\/\/host:port/],
  ["http://host:1", /must be host:port/],
  ["::1:5", /must be host:port/],
  ["host:65536", /port "65536" must be a number from 0 to 65535/],
  ["host:x", /port "x" must be/],
  ["host:0", /the port must not be 0/],
] as const) {
  test(`the address ${text} is refused`, () => {
    assert.throws(() => settings({ ORCA_CORE: text }), { name: "InvalidError", message: words });
  });
}

test("the project file", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "orca-"));
  const before = process.cwd();
  t.after(() => {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  });
  process.chdir(folder);
  assert.deepStrictEqual(look(true).file, {});
  writeFileSync("orca.json", '{"projectName": "p"}');
  assert.deepStrictEqual([look(true).file, look(false)], [{ projectName: "p" }, { env: {}, file: {} }]);
  writeFileSync("orca.json", "[]");
  assert.throws(() => look(true), /project file orca.json: must be a JSON object/);
  writeFileSync("orca.json", "{");
  assert.throws(() => look(true), { name: "InvalidError", message: /^project file orca.json: / });
});
