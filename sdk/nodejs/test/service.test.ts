// What a processor answers to a core.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { algorithmMessage, nameOnly } from "../src/algorithm.js";
import {
  type ExecutionRequest,
  type ExecutionResult,
  HealthCheckResponse_Status as Health,
} from "../src/contract/service.js";
import {
  array,
  Failure,
  type Logger,
  last,
  Processor,
  type ProcessorOptions,
  remote,
  value,
  WindowType,
} from "../src/index.js";
import { readStruct } from "../src/values.js";
import { FakeCore, ProcessorStub } from "./fakecore.js";
import { windowOn } from "./windows.js";

const lap = new WindowType("Lap", "1.0.0");
const window = windowOn(lap, 1, 2);
const quiet: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** A processor beside a scripted core, which define gives its algorithms. */
async function serve(t: TestContext, define: (processor: Processor) => void, options: ProcessorOptions = {}) {
  const core = await FakeCore.start(t);
  const settings = { core: core.address, listen: "127.0.0.1:0", environment: false, log: quiet, ...options };
  const processor = new Processor("racing", settings);
  define(processor);
  const session = await processor.start();
  t.after(() => session.stop());
  await session.registered();
  return { core, processor, session, stub: new ProcessorStub(t, session.address) };
}

/** Asks for algorithms by their names. */
function request(...names: string[]): ExecutionRequest {
  return {
    execId: "exec-1",
    window: window.message,
    algorithmResults: [],
    algorithms: [],
    algorithmExecutions: names.map((name) => ({
      algorithm: nameOnly(name, "1.0.0"),
      dependencies: [],
      selfResults: [],
    })),
  };
}

const failures: [string, () => number, number, (error: Record<string, unknown>) => void][] = [
  [
    "a failure",
    () => {
      throw new Failure("no signal", { machine: "m-1" });
    },
    0,
    (error) => assert.deepStrictEqual(error, { message: "no signal", details: { machine: "m-1" } }),
  ],
  [
    "a failure whose details cannot be sent",
    () => {
      throw new Failure("no signal", { at: new Date() });
    },
    0,
    ({ details }) => assert.match(String(details), /^these details cannot be sent: field "at": an object of Date/),
  ],
  [
    "an error with its cause",
    () => {
      throw new RangeError("too far", { cause: new TypeError("inner") });
    },
    1,
    ({ message, stack }) => {
      assert.equal(message, "RangeError: too far");
      assert.match(
        String(stack),
        /^RangeError: too far\n {4}at .*service\.test\.js[\s\S]*\ncaused by TypeError: inner\n/,
      );
    },
  ],
  [
    "what is no error",
    () => {
      // biome-ignore lint/style/useThrowOnlyError: users may
      throw "text";
    },
    1,
    ({ message }) => assert.equal(message, "text was thrown"),
  ],
  [
    "an error that cannot be read",
    () => {
      throw Object.defineProperty(new Error(), "message", {
        get: () => {
          throw new Error("broken");
        },
      });
    },
    1,
    ({ message }) => assert.equal(message, "an error whose text cannot be had"),
  ],
  [
    "a result that does not fit",
    () => 1e39,
    1,
    ({ message }) => assert.match(String(message), /^result: 1e\+39 does not/),
  ],
];
for (const [name, run, want, check] of failures) {
  test(`${name} is sent as a result`, async (t) => {
    const { stub } = await serve(t, (processor) => processor.algorithm("Fails", "1.0.0", lap, { result: value }, run));
    const { results, status: ended } = await stub.results(request("Fails"));
    assert.equal(ended.code, status.OK);
    const { algorithm, result, window: answered } = results[0]?.algorithmResult ?? {};
    assert.equal(results.length, 1);
    assert.deepStrictEqual([algorithm?.name, result?.status, result?.resultData], ["Fails", want, undefined]);
    assert.equal(answered?.windowTypeName, "Lap");
    check(readStruct(result?.error ?? new Uint8Array()));
  });
}

/** A promise, and what makes it resolve. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

test("results stream as they come", async (t) => {
  const { opened, open } = gate();
  const { stub } = await serve(t, (processor) => {
    processor.algorithm("Slow", "1.0.0", lap, { result: value }, async () => {
      await opened;
      return 1;
    });
    processor.algorithm("Quick", "1.0.0", lap, { result: value }, () => 2);
  });
  const stream = stub.execute(request("Slow", "Quick"));
  const names: unknown[] = [];
  for await (const { algorithmResult, execId } of stream as AsyncIterable<ExecutionResult>) {
    names.push([execId, algorithmResult?.algorithm?.name]);
    open(); // the first is here before the second is done
  }
  assert.deepStrictEqual(names, [
    ["exec-1", "Quick"],
    ["exec-1", "Slow"],
  ]);
});

test("unknown algorithms end the stream after the results of the others", async (t) => {
  const { stub } = await serve(t, (processor) =>
    processor.algorithm("Known", "1.0.0", lap, { result: value }, () => 1),
  );
  const { results, status: ended } = await stub.results(request("Known", "Unknown"));
  assert.equal(results.length, 1);
  assert.deepStrictEqual(
    [ended.code, ended.details],
    [status.UNIMPLEMENTED, "this processor does not have Unknown 1.0.0"],
  );
  const empty = await stub.results({ ...request("Known"), execId: "" });
  assert.equal(empty.status.code, status.INVALID_ARGUMENT);
});

test("a cancel, as a deadline has the core send it, aborts the signal of what runs", async (t) => {
  const [begun, aborted] = [gate(), gate()];
  const { stub } = await serve(t, (processor) =>
    processor.algorithm("Waits", "1.0.0", lap, { result: value }, async (run) => {
      begun.open();
      await once(run.signal, "abort");
      assert.ok(run.cancelled);
      aborted.open();
      return 1;
    }),
  );
  const stream = stub.execute(request("Waits"));
  await begun.opened;
  stream.cancel();
  await aborted.opened;
});

test("at most so many run at once, and health tells how many", async (t) => {
  const { opened, open } = gate();
  const full = gate();
  let begun = 0;
  const { stub } = await serve(
    t,
    (processor) => {
      for (const name of ["A", "B", "C", "D"]) {
        processor.algorithm(name, "1.0.0", lap, { result: value }, async () => {
          if (++begun === 2) full.open();
          await opened;
          return begun;
        });
      }
    },
    { concurrency: 2 },
  );
  const results = stub.results(request("A", "B", "C", "D"));
  await full.opened;
  const { status: health, metrics } = await stub.health();
  assert.deepStrictEqual([begun, health, metrics?.activeTasks], [2, Health.STATUS_SERVING, 2]);
  assert.ok(metrics !== undefined && metrics.memoryBytes > 1_000_000n && metrics.cpuPercent <= 100);
  open();
  assert.equal((await results).results.length, 4);
  assert.equal((await stub.health()).metrics?.activeTasks, 0);
});

test("what runs is finished when the processor stops", async (t) => {
  const [begun, release] = [gate(), gate()];
  const { stub, session } = await serve(t, (processor) =>
    processor.algorithm("Slow", "1.0.0", lap, { result: value }, async () => {
      begun.open();
      await release.opened;
      return 1;
    }),
  );
  const results = stub.results(request("Slow"));
  await begun.opened;
  const stopped = session.stop();
  release.open();
  await stopped;
  assert.equal((await results).results.length, 1);
  await assert.rejects(stub.health());
});

test("the drain ends", async (t) => {
  const begun = gate();
  const warned: string[] = [];
  const { stub, session } = await serve(
    t,
    (processor) =>
      processor.algorithm("Endless", "1.0.0", lap, { result: value }, async (run) => {
        begun.open();
        await once(run.signal, "abort");
        return 1;
      }),
    { drain: 1, log: { ...quiet, warn: (text) => warned.push(text) } },
  );
  const results = stub.results(request("Endless"));
  await begun.opened;
  await session.stop();
  const { results: none, status: ended } = await results;
  assert.deepStrictEqual([none, ended.code], [[], status.UNAVAILABLE]); // an instance that is gone, not a failed algorithm
  assert.match(warned.join(), /racing stops with 1 unfinished algorithms after 0.001 s/);
});

test("requests of older cores are answered from their deprecated fields", async (t) => {
  const other = remote("other", "Mean", "1.0.0", value);
  const { stub, processor } = await serve(t, (defined) => {
    const mean = defined.algorithm("Mean", "1.0.0", lap, { result: value }, () => 1);
    defined.algorithm("Both", "1.0.0", lap, { result: array, needs: [mean, other.last(3)] }, (run) => [
      run.get(mean).value,
      run.get(other).value,
      run.get(other).past.length,
    ]);
  });
  const both = processor.algorithms.find(({ id }) => id.name === "Both");
  assert.ok(both);
  const result = (number: number) => ({
    algorithm: nameOnly("Mean", "1.0.0"),
    window: undefined,
    result: {
      status: 2,
      resultData: { $case: "singleValue", value: number } as const,
      timestamp: 0n,
      error: new Uint8Array(),
    },
  });
  const old = { ...request(), algorithms: [algorithmMessage(both)], algorithmResults: [result(1), result(2)] };
  const { results } = await stub.results(old);
  const data = results[0]?.algorithmResult?.result?.resultData;
  assert.deepStrictEqual(array.read(data), Float32Array.of(1, 2, 0));
});

test("a plan without a dependency that the definition has is a failure, not an empty input", async (t) => {
  const { stub } = await serve(t, (processor) => {
    const mean = processor.algorithm("Mean", "1.0.0", lap, { result: value }, () => 1);
    processor.algorithm("Needs", "1.0.0", lap, { result: value, needs: [mean], needsSelf: last(1) }, () => 1);
  });
  const { results } = await stub.results(request("Needs"));
  const { message } = readStruct(results[0]?.algorithmResult?.result?.error ?? new Uint8Array());
  assert.match(String(message), /this run was planned without the dependency Mean 1.0.0 of racing/);
});

test("a port that is taken is an error that says what to do", async (t) => {
  const { session } = await serve(t, () => undefined);
  const second = new Processor("racing", { listen: session.address, environment: false });
  await assert.rejects(
    second.start(),
    /racing cannot listen on 127.0.0.1:\d+: .*; choose another port with PROCESSOR_PORT/,
  );
});
