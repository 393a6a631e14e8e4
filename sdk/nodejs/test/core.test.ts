// Processors and clients beside a real core.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  array,
  Client,
  type ClientOptions,
  Failure,
  type Logger,
  last,
  Processor,
  type ProcessorOptions,
  remote,
  struct,
  value,
  Window,
  WindowType,
} from "../src/index.js";
import { needsCore, RealCore } from "./realcore.js";
import { instant, second, secondsType, windowOn } from "./windows.js";

const lap = new WindowType("Lap", "1.0.0");
const quiet: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

async function serve(t: TestContext, core: RealCore, define: (p: Processor) => void, options: ProcessorOptions = {}) {
  const settings = { core: core.address, listen: "127.0.0.1:0", environment: false, log: quiet, ...options };
  const processor = new Processor("racing", settings);
  define(processor);
  const session = await processor.start();
  t.after(() => session.stop());
  await session.registered();
  return session;
}

function clientOf(t: TestContext, core: RealCore, options: ClientOptions = {}): Client {
  const client = new Client({ core: core.address, environment: false, log: quiet, ...options });
  t.after(() => client.close());
  return client;
}

test("rows, ages and nanoseconds", needsCore, async (t) => {
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  const plant = new Processor("plant", { core: core.address, listen: "127.0.0.1:0", environment: false });
  const number = plant.algorithm("Number", "1.0.0", secondsType, { result: value }, (run) => run.window.seconds);
  const kind = struct<{ now: number; values: number[]; ages: string[]; own: number; from: string; secret: unknown }>();
  const needs = [number.last(2)];
  const report = plant.algorithm("Report", "1.0.0", secondsType, { result: kind, needs, needsSelf: last(1) }, (run) => {
    const { value: now, values, ages } = run.get(number);
    const { timeFrom, metadata } = run.window;
    const own = run.own.latest?.value.values.length ?? 0;
    return { now, values, ages: ages.map(String), own, from: String(timeFrom), secret: metadata["secret"] };
  });
  const session = await plant.start();
  t.after(() => session.stop());
  await session.registered();
  for (let i = 0; i < 3; i++) {
    const [from, to] = [instant(i) + 1n, instant(i + 1) + 2n];
    const metadata = { asset: "pump", secret: `s-${i}` };
    const emission = await client.emit(new Window(secondsType, from, to, { origin: "test", metadata }));
    const outcome = await client.wait(emission);
    const ages = ["0", String(second), String(2n * second)].slice(0, i + 1);
    const values = ages.map(() => 1);
    const want = { now: 1, values, ages, own: i, from: String(from), secret: `s-${i}` };
    assert.deepStrictEqual({ ...outcome.check().get(report) }, want);
  }
  assert.deepStrictEqual((await client.results(report)).latest?.window.metadata, { asset: "pump" });
});

test("an outcome, reruns, inputs and freshness", needsCore, async (t) => {
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  let good = false;
  const racing = new Processor("racing", { core: core.address, listen: "127.0.0.1:0", environment: false });
  const seconds = racing.algorithm("Seconds", "1.0.0", lap, { result: value }, (run) => run.window.seconds);
  const total = racing.algorithm("Sum", "1.0.0", lap, { result: array, needs: [seconds.last(1)] }, (run) => {
    if (!good) throw new Failure("not yet", { why: "bad" });
    return run.get(seconds).values;
  });
  const session = await racing.start();
  t.after(() => session.stop());
  await session.registered();

  const first = await client.emit(windowOn(lap, 0, 1));
  const emission = await client.emit(windowOn(lap, 1, 3));
  const failed = await client.wait(emission, { timeout: "60s" });
  assert.throws(() => failed.get(total), {
    name: "NoResultError",
    message: /no result of Sum .*: handled failure: not yet/,
  });
  assert.throws(() => failed.check(), /run of window .* failed\nSum 1.0.0 of racing: handled failure: not yet/);
  assert.deepStrictEqual(failed.node(total).error, { message: "not yet", details: { why: "bad" } });

  good = true;
  const { revision } = await client.retry(emission);
  const retried = await client.outcome(emission, { revision });
  assert.deepStrictEqual([revision, retried.check().get(total)], [2, Float32Array.of(2, 1)]);
  assert.equal((await client.outcome(emission, { revision: 1 })).state, "failed");
  const given = await client.inputs(emission, { algorithms: [total] });
  assert.deepStrictEqual(
    given.map((g) => [String(g.of), g.row.value, g.current, String(g.lookback)]),
    [
      ["Seconds 1.0.0 of racing", 2, true, "last 1"],
      ["Seconds 1.0.0 of racing", 1, false, "last 1"],
    ],
  );
  const freshness = async () => (await client.freshness(emission)).map((f) => [String(f.algorithm), f.freshness]);
  assert.deepStrictEqual(await freshness(), [["Sum 1.0.0 of racing", "current"]]);
  const again = await client.reprocess(first);
  assert.deepStrictEqual([again.revision, again.status], [2, "processing triggered"]);
  await client.wait(first);
  assert.deepStrictEqual(await freshness(), [["Sum 1.0.0 of racing", "stale"]]); // the first has a newer run now
  await assert.rejects(client.cancel(emission), { name: "ConflictError" });
  await assert.rejects(client.wait("nowhere"), { name: "NotFoundError" });
});

test("results are read in pages, with bounds and metadata", needsCore, async (t) => {
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  const start = remote("racing", "Start", "1.0.0", value);
  await serve(t, core, (p) =>
    p.algorithm("Start", "1.0.0", secondsType, { result: value }, (run) => Number(run.window.timeFrom % 7n)),
  );
  const windows = Array.from({ length: 600 }, (_, i) => windowOn(secondsType, i, i + 1, i % 2 === 0 ? "even" : "odd"));
  const emissions = await Promise.all(windows.map((window) => client.emit(window)));
  await Promise.all(emissions.map((emission) => client.wait(emission)));
  const all = await client.results(start);
  assert.deepStrictEqual(
    all.oldestFirst().windows.map(({ timeFrom }) => timeFrom),
    windows.map(({ timeFrom }) => timeFrom),
  );
  assert.deepStrictEqual(
    all.values,
    [...windows].reverse().map(({ timeFrom }) => Number(timeFrom % 7n)),
  );
  assert.deepStrictEqual(
    [all.at(0)?.window.metadata, all.latest?.window.id],
    [{ asset: "odd" }, emissions[599]?.windowId],
  );
  const [timeFrom, timeTo] = [windows[10]?.timeFrom ?? 0n, windows[20]?.timeTo ?? 0n];
  assert.equal((await client.results(start, { timeFrom, timeTo })).length, 11);
  assert.equal((await client.results(start, { timeFrom, timeTo, metadata: { asset: "odd" } })).length, 5);
  assert.throws(() => all.latest?.age, /only rows that a run was given have an age/);
});

test("a core that comes back without its store is told again", needsCore, async (t) => {
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  const warned: string[] = [];
  const log = { ...quiet, warn: (text: string) => warned.push(text) };
  await serve(t, core, (p) => p.algorithm("Speed", "1.0.0", lap, { result: value }, () => 1), { log });
  await client.wait(await client.emit(windowOn(lap, 0, 1)));
  await core.kill();
  await core.start("other.db");
  for (;;) {
    try {
      const outcome = await client.wait(await client.emit(windowOn(lap, 1, 2)));
      assert.equal(outcome.state, "succeeded");
      break;
    } catch (error) {
      assert.equal((error as Error).name, "NotFoundError"); // until the processor has registered again
    }
  }
  assert.match(warned.join(), /the core does not know processor racing any more; registering again/);
});

test("waiting goes on across a restart of the core", needsCore, async (t) => {
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  let [begin, release] = [() => {}, () => {}];
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await serve(t, core, (processor) =>
    processor.algorithm("Slow", "1.0.0", lap, { result: value }, async () => {
      begin();
      await released;
      return 7;
    }),
  );
  const waiting = client.wait(await client.emit(windowOn(lap, 0, 1)));
  await begun;
  await core.kill();
  release();
  await core.start();
  assert.deepStrictEqual(
    (await waiting).nodes.map((node) => node.value),
    [7],
  );
});

test("a wait that takes too long ends", needsCore, async (t) => {
  const core = await RealCore.start(t);
  const client = clientOf(t, core);
  const session = await serve(t, core, (p) => p.algorithm("Speed", "1.0.0", lap, { result: value }, () => 1));
  await session.stop();
  const emission = await client.emit(windowOn(lap, 0, 1));
  await assert.rejects(client.wait(emission, { timeout: "50ms" }), { name: "TimeoutError", message: /after 50ms$/ });
  await client.cancel(emission);
  assert.equal((await client.wait(emission)).state, "cancelled");
});

test("TLS in both directions, and a token", needsCore, async (t) => {
  const file = (name: string) => fileURLToPath(new URL(`../../../test/tls/${name}`, import.meta.url));
  const [certificate, key] = [file("certificate.pem"), file("key.pem")];
  const core = await RealCore.start(t, ["--tls-cert", certificate, "--tls-key", key, "--token", "let-me-in"], {
    SSL_CERT_FILE: certificate,
  });
  const tls = { ca: readFileSync(certificate) };
  const speed = (p: Processor) => p.algorithm("Speed", "1.0.0", lap, { result: value }, () => 1);
  const options = { core: `grpcs://${core.address}`, tls, token: "let-me-in", serverTls: { certificate, key } };
  const session = await serve(t, core, speed, options);
  assert.match(session.address, /^grpcs:\/\/127\.0\.0\.1:/);
  const client = clientOf(t, core, { tls, token: "let-me-in" });
  assert.equal((await client.wait(await client.emit(windowOn(lap, 0, 1)))).state, "succeeded");
  const wrong = clientOf(t, core, { tls, token: "wrong" });
  const words = { name: "UnauthorizedError", message: /gives the core's token with token: or ORCA_TOKEN$/ };
  await assert.rejects(wrong.emit(windowOn(lap, 0, 1)), words);
});

test("certificates that are not there", async () => {
  assert.throws(() => new Client({ tls: { ca: "nowhere.pem" } }), /TLS ca "nowhere.pem": ENOENT/);
  const processor = new Processor("racing", { listen: "127.0.0.1:0", serverTls: {}, environment: false });
  await assert.rejects(processor.start(), {
    name: "InvalidError",
    message: /serverTls: it needs a certificate and a key/,
  });
});
