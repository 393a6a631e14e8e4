// Algorithms on worker threads.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { nameOnly } from "../src/algorithm.js";
import { type ExecutionRequest, HealthCheckResponse_Status as Health } from "../src/contract/service.js";
import { Processor, value } from "../src/index.js";
import { readAny } from "../src/results.js";
import { readStruct } from "../src/values.js";
import { burst, crunching } from "./crunching.js";
import { FakeCore, ProcessorStub, type Script } from "./fakecore.js";
import { windowOn } from "./windows.js";

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

async function serve(t: TestContext, threads: number, script: Script = {}) {
  const core = await FakeCore.start(t, script);
  const options = { core: core.address, listen: "127.0.0.1:0", environment: false, log: quiet };
  const session = await crunching({ ...options, threads, drain: 1 }).start();
  t.after(() => session.stop());
  await session.registered();
  return { core, session, stub: new ProcessorStub(t, session.address) };
}

function request(...names: string[]): ExecutionRequest {
  return {
    execId: "exec-1",
    window: windowOn(burst, 1, 2, "a\0b").message,
    algorithmResults: [],
    algorithms: [],
    algorithmExecutions: names.map((name) => ({
      algorithm: nameOnly(name, "1.0.0"),
      dependencies: [],
      selfResults: [],
    })),
  };
}

test("an algorithm runs on another thread, on what it was given", async (t) => {
  const { stub } = await serve(t, 1);
  const { results } = await stub.results(request("Where"));
  const told = readAny(results[0]?.algorithmResult?.result?.resultData);
  const { main, thread, ...given } = told as { main: boolean; thread: number };
  assert.deepStrictEqual(given, { asset: "a\0b", from: "1700000001000000000" });
  assert.ok(!main && thread > 0);
});

test("failures come back as from everywhere", async (t) => {
  const { stub } = await serve(t, 2);
  for (const [name, want, words] of [
    ["Fails", 0, /^no signal$/],
    ["Breaks", 1, /^RangeError: too far$/],
    ["Exits", 1, /the worker thread of .*crunching.js failed: it ended with code 7$/],
    ["Where", 2, /^$/], // there are threads after one has ended
  ] as const) {
    const { results } = await stub.results(request(name));
    const result = results[0]?.algorithmResult?.result;
    assert.equal(result?.status, want, name);
    assert.match(String(readStruct(result.error)["message"] ?? ""), words);
  }
});

test("heartbeats are answered while every thread computes, and others run", async (t) => {
  const { stub } = await serve(t, 1);
  const stream = stub.execute(request("Crunch"));
  const ended = new Promise((resolve) => stream.on("status", resolve));
  stream.resume();
  for (;;) {
    const { status: health, metrics } = await stub.health();
    assert.equal(health, Health.STATUS_SERVING);
    if (metrics?.activeTasks === 1) break;
  }
  assert.equal((await stub.results(request("Here"))).results.length, 1);
  stream.cancel(); // which a loop that never awaits sees in run.cancelled
  await ended;
  assert.equal((await stub.results(request("Where"))).results.length, 1);
});

test("an algorithm on a thread emits over the processor's connection", async (t) => {
  const { core, stub } = await serve(t, 1);
  const { results } = await stub.results(request("Emits"));
  assert.equal(readAny(results[0]?.algorithmResult?.result?.resultData), 1);
  assert.deepStrictEqual(
    core.emits.map(({ window, key }) => [window.windowTypeName, key]),
    [["Nested", "key"]],
  );
});

test("what goes wrong with an emit is of the same class on a thread", async (t) => {
  const { stub } = await serve(t, 1, { emit: () => ({ code: status.ALREADY_EXISTS, details: "another window" }) });
  const { results } = await stub.results(request("Emits"));
  const { message } = readStruct(results[0]?.algorithmResult?.result?.error ?? new Uint8Array());
  assert.match(String(message), /^ConflictError: emit window Nested 1.0.0 at .*: another window$/);
});

test("what computes is cut off when the drain ends", async (t) => {
  const { session, stub } = await serve(t, 1);
  const results = stub.results(request("Crunch"));
  while ((await stub.health()).metrics?.activeTasks === 0);
  await session.stop();
  assert.deepStrictEqual((await results).results, []);
});

for (const [name, worker, words] of [
  ["is not there", new URL("./nowhere.js", import.meta.url), /has to define Lost 1.0.0 of crunching .*; .*nowhere\.js/],
  ["does not define it", new URL("./windows.js", import.meta.url), /has to define Lost .*; it ended with code 0/],
] as const) {
  test(`a module that ${name} is an error at the start`, async () => {
    const processor = new Processor("crunching", { listen: "127.0.0.1:0", environment: false });
    processor.algorithm("Lost", "1.0.0", burst, { result: value, worker }, () => 1);
    await assert.rejects(processor.start(), { name: "InvalidError", message: words });
  });
}
