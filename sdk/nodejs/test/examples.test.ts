// The examples run as users run them: as programs, beside a real core.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { array, Client, remote, struct, value, Window, WindowType } from "../src/index.js";
import { needsCore, RealCore } from "./realcore.js";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../../..", import.meta.url));
const programs = join(root, "sdk", "nodejs", "build", "programs", "examples", "typescript");

/** Starts a program that serves, and ends it in order with the test. */
function serve(t: TestContext, core: RealCore, command: string, ...args: string[]): ChildProcess {
  const env = { ...process.env, ORCA_CORE: core.address, PROCESSOR_ADDRESS: "127.0.0.1:0", PROCESSOR_PORT: "0" };
  const started = spawn(command, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  started.stderr?.on("data", (text) => {
    errors += String(text);
  });
  t.after(async () => {
    const exited = once(started, "exit");
    if (started.exitCode === null) started.kill("SIGTERM");
    const [code] = started.exitCode === null ? await exited : [started.exitCode];
    if (command === process.execPath) assert.deepStrictEqual([code, errors], [0, ""]);
  });
  return started;
}

function example(t: TestContext, core: RealCore, path: string): ChildProcess {
  return serve(t, core, process.execPath, join(programs, path));
}

function clientOf(t: TestContext, core: RealCore): Client {
  const client = new Client({ core: core.address, environment: false });
  t.after(() => client.close());
  return client;
}

test("the first processor", needsCore, async (t) => {
  const core = await RealCore.start(t);
  example(t, core, "first/processor.js");
  await core.knows("racing", 2);
  const env = { ...process.env, ORCA_CORE: core.address };
  const { stdout } = await run(process.execPath, [join(programs, "first/window.js")], { env });
  assert.equal(stdout, "Speed 1.0.0 of racing: 66.94318389892578\nSpeedKmh 1.0.0 of racing: 240.99546813964844\n");
});

test("windows from an algorithm", needsCore, async (t) => {
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  example(t, core, "nested/processor.js");
  await core.knows("track", 2);
  const begin = 10n ** 18n;
  const session = new WindowType("Session", "1.0.0");
  const metadata = { marks: [0, 88, 178.5] };
  const window = new Window(session, begin, begin + 200n * 10n ** 9n, { origin: "s-1", metadata });
  const outcome = await client.wait(await client.emit(window), { timeout: "60s" });
  assert.deepStrictEqual(outcome.check().get(remote("track", "Laps", "1.0.0", array)), Float32Array.of(88, 90.5));
  const speeds = remote("track", "LapSpeed", "1.0.0", value);
  let rows = await client.results(speeds);
  while (rows.length < 2) rows = await client.results(speeds); // they run on their own
  assert.deepStrictEqual(rows.values, [Math.fround(5891 / 90.5), Math.fround(5891 / 88)]);
});

test("an algorithm on worker threads", needsCore, async (t) => {
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  example(t, core, "spectrum/processor.js");
  await core.knows("plant", 1);
  const burst = new WindowType("Burst", "1.0.0");
  const samples = Array.from({ length: 64 }, (_, i) => 3 * Math.sin((2 * Math.PI * 5 * i) / 64));
  const window = new Window(burst, 1n, 2n, { origin: "test", metadata: { samples } });
  const outcome = await client.wait(await client.emit(window), { timeout: "60s" });
  const spectrum = outcome.get(remote("plant", "Spectrum", "1.0.0", array));
  assert.deepStrictEqual(
    Array.from(spectrum, (strength) => Math.round(strength)),
    Array.from({ length: 32 }, (_, k) => (k === 5 ? 3 : 0)),
  );
});

const python = join(root, ".cache", "sdk", "python", "bin", "python");

test("Go, Python and TypeScript", needsCore, async (t) => {
  if (!existsSync(python)) {
    assert.ok(!process.env["CI"], `${python} is not there; make test installs it`);
    t.skip("run make sdk-python");
    return;
  }
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  const folder = mkdtempSync(join(tmpdir(), "orca-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const racing = join(folder, "first-processor");
  await run("go", ["build", "-o", racing, "./examples/first-processor"], { cwd: root });
  serve(t, core, racing);
  await core.knows("racing", 2);
  const source = `PYTHONPATH=${join(root, "sdk/python/src")}`;
  serve(t, core, "env", source, python, join(root, "examples/python/mixed/processor.py"));
  await core.knows("pit-wall", 1);
  example(t, core, "mixed/processor.js");
  await core.knows("radio", 1);
  const message = remote("radio", "Message", "1.0.0", struct<{ text: string }>());
  const texts: string[] = [];
  for (const [i, seconds] of [88n, 87n, 92n].entries()) {
    const begin = (10n ** 9n + BigInt(100 * i)) * 10n ** 9n;
    const window = new Window(new WindowType("Lap", "1.0.0"), begin, begin + seconds * 10n ** 9n, { origin: "test" });
    texts.push((await client.wait(await client.emit(window), { timeout: "60s" })).check().get(message).text);
  }
  assert.deepStrictEqual(texts, [
    "stay out after 1 laps, 241 km/h",
    "stay out after 2 laps, 244 km/h",
    "box after 3 laps, 231 km/h",
  ]);
});

/** Gives a text without indentation, which differs where code is cut out of a function. */
function flat(path: string): string {
  return readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.trim())
    .join("\n");
}

/** The source files of the examples. */
function examples(): string[] {
  const folder = join(root, "examples", "typescript");
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name));
}

test("the guide shows the code of the examples", () => {
  const sources = examples().map(flat).join("");
  const blocks = flat(join(root, "docs/guide/typescript.md")).split("\n```ts\n").slice(1);
  assert.ok(blocks.length > 10);
  for (const block of blocks) {
    const [code = ""] = block.split("\n```");
    assert.ok(sources.includes(code), `no example has:\n${code}`);
  }
  const first = flat(join(root, "examples/typescript/first/processor.ts")).trimEnd();
  assert.ok(flat(join(root, "sdk/nodejs/README.md")).includes(`\`\`\`ts\n${first}\n\`\`\``));
});
