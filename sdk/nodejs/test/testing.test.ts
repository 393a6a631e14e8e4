import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Algorithm,
  array,
  type Dependency,
  Failure,
  field,
  type Lookback,
  last,
  type Need,
  none,
  Processor,
  Row,
  type Rows,
  remote,
  struct,
  value,
  type Window,
  WindowType,
} from "../src/index.js";
import { Core, call, given } from "../src/testing/index.js";
import { instant, second, secondsType, windowOn } from "./windows.js";

const lap = new WindowType("Lap", "1.0.0");
const lapAt = (i: number) => windowOn(lap, i, i + 1);

const racing = new Processor("racing");
const speed = racing.algorithm("Speed", "1.0.0", lap, { result: value }, () => 0.1);
const lastSpeeds = speed.last(3);
const trend = racing.algorithm(
  "Trend",
  "1.0.0",
  lap,
  {
    result: struct<{ now: number; past: number[]; own: number; age: string }>(),
    needs: [lastSpeeds, speed],
    needsSelf: last(1),
  },
  async (run) => {
    await Promise.resolve();
    const rows = run.get(lastSpeeds);
    const age = String(rows.at(-1)?.age);
    return { now: run.get(speed).value, past: rows.past.values, own: run.own.length, age };
  },
);

test("call runs one algorithm, and its result goes through its wire form", async () => {
  const past = [new Row(lapAt(5), 1.5), new Row(lapAt(4), 2.5)];
  const own = [new Row(lapAt(5), { now: 0, past: [], own: 0, age: "" })];
  assert.equal(await call(speed, lapAt(6)), Math.fround(0.1));
  const inputs = [given(lastSpeeds, { current: 3, past }), given(speed, { current: 4 })];
  // What is given of one lookback comes before what is given of the algorithm, in whatever order.
  for (const order of [inputs, [...inputs].reverse()]) {
    const want = { now: 3, past: [1.5, 2.5], own: 1, age: String(2n * second) };
    assert.deepStrictEqual(await call(trend, lapAt(6), { inputs: order, own }), want);
  }
});

test("call refuses what does not fit", async () => {
  await assert.rejects(
    call(speed, lapAt(1), { inputs: [given(trend, {})] }),
    /which the needs of Speed .* do not name/,
  );
  await assert.rejects(call(trend, lapAt(1)), { name: "NoResultError", message: /has no result for the window/ });
  await assert.rejects(call(remote("a", "B", "1.0.0"), lapAt(1)), /it runs in another processor/);
});

test("an algorithm reads only what it needs, and several lookbacks one by one", async () => {
  const other = new Processor("other");
  const reads = (name: string, needs: readonly Need[], need: Need<number>) =>
    other.algorithm(name, "1.0.0", lap, { result: array, needs }, (run) => run.get(need).values);
  await assert.rejects(call(reads("A", [], speed), lapAt(1)), /A 1.0.0 of other reads Speed 1.0.0 of racing, which/);
  await assert.rejects(call(reads("B", [speed, lastSpeeds], speed), lapAt(1)), /is needed with several lookbacks/);
  await assert.rejects(call(reads("C", [lastSpeeds], speed.last(2)), lapAt(1)), /reads Speed .* \(last 2\), which/);
  assert.deepStrictEqual(await call(reads("D", [lastSpeeds], speed), lapAt(1)), new Float32Array());
});

test("an algorithm emits through what a test gives", async () => {
  const emits = new Processor("emitting").algorithm("Emits", "1.0.0", lap, { result: value }, async (run) => {
    const emission = await run.emit(lapAt(7), { idempotencyKey: "key" });
    return Number(emission.windowId);
  });
  const emitted: [bigint, string | undefined][] = [];
  const emit = (window: Window, key: string | undefined) => {
    emitted.push([window.timeFrom, key]);
    return { windowId: "5", status: "processing triggered" } as const;
  };
  assert.equal(await call(emits, lapAt(1), { emit }), 5);
  assert.deepStrictEqual(emitted, [[instant(7), "key"]]);
  await assert.rejects(call(emits, lapAt(1)), /emit: this run has no core; pass emit: to call/);
});

test("windows that algorithms emit run afterwards, once for each key", async () => {
  const nested = new WindowType("Nested", "1.0.0");
  const outer = new Processor("outer");
  const order: string[] = [];
  const one = { idempotencyKey: "one" };
  const emits = outer.algorithm("Outer", "1.0.0", lap, { result: value }, async (run) => {
    const emission = await run.emit(windowOn(nested, 1, 2), one);
    assert.deepStrictEqual(await run.emit(windowOn(nested, 1, 2), one), emission);
    await assert.rejects(run.emit(windowOn(nested, 1, 3), one), { name: "ConflictError" });
    order.push(emission.windowId);
    return 1;
  });
  const inner = outer.algorithm("Inner", "1.0.0", nested, { result: value }, () => order.push("inner"));
  const core = new Core(outer);
  assert.equal((await core.emit(lapAt(1))).get(emits), 1);
  assert.deepStrictEqual(order, ["w-2", "inner"]);
  assert.equal(core.outcome("w-2").get(inner), 2);
});

test("a core in memory refuses what a core refuses", async () => {
  const lost = new Processor("other");
  lost.algorithm("Lost", "1.0.0", lap, { result: none, needs: [remote("racing", "Nowhere", "1.0.0")] }, () => {});
  assert.throws(() => new Core(racing, lost), /Lost 1.0.0 of other needs Nowhere 1.0.0 of racing, which none of them/);
  assert.throws(() => new Core(racing, racing), /processor racing: it is given twice/);
  const night = windowOn(new WindowType("Night", "1.0.0"), 1, 2);
  await assert.rejects(new Core(racing).emit(night), { name: "NotFoundError", message: /announces window type Night/ });
  const ring = new Processor("ring");
  for (const [name, need] of [
    ["A", "B"],
    ["B", "A"],
  ] as const) {
    ring.algorithm(name, "1.0.0", lap, { result: none, needs: [remote("ring", need, "1.0.0")] }, () => {});
  }
  assert.throws(() => new Core(ring), /A 1.0.0 → B 1.0.0 → A 1.0.0 is a cycle/);
});

const minute = new WindowType("Minute", "1.0.0", { fields: [field("asset", undefined, { filter: true })] });

/** A source on seconds, and an algorithm that gives when each row that it was given began, in seconds. */
function plant(need: (source: Algorithm<number>) => Need, on: WindowType = secondsType, own: Lookback = last(0)) {
  const processor = new Processor("plant");
  const source = processor.algorithm("Source", "1.0.0", secondsType, { result: value }, ({ window }) => {
    if (window.metadata["secret"] === "fail") throw new Failure("asked for");
    return window.timeFrom === 0n ? 0 : Number(window.timeFrom - instant(0)) / 1e9;
  });
  const lookback = need(source);
  const options = { result: struct<{ rows: number[]; own: number[] }>(), needs: [lookback], needsSelf: own };
  const sees = processor.algorithm("Sees", "1.0.0", on, options, (run) => {
    const begins = (rows: Rows<unknown>) => rows.windows.map(({ timeFrom }) => Number(timeFrom - instant(0)) / 1e9);
    return { rows: begins(run.get(lookback).past), own: begins(run.own) };
  });
  return { source, sees, core: new Core(processor) };
}

type Looks = (source: Algorithm<number>) => Algorithm<number> | Dependency<number>;
const ownType: [string, Looks, number[]][] = [
  ["nothing", (s) => s, []],
  ["last 0", (s) => s.last(0), []],
  ["last 3", (s) => s.last(3), [8, 7, 6]],
  ["last 3 after 2", (s) => s.last(3, { gap: 2 }), [6, 5, 4]],
  ["last 100", (s) => s.last(100), [8, 7, 6, 5, 4, 3, 2, 1, 0]],
  ["last 2 after any time, which drops the neighbour", (s) => s.last(2, { gap: "1ns" }), [7, 6]],
  ["over 3s", (s) => s.over("3s"), [8, 7, 6]],
  ["over 3.5s, in whole windows", (s) => s.over("3500ms"), [8, 7, 6]],
  ["over 3s after 2s", (s) => s.over("3s", { gap: "2s" }), [6, 5, 4]],
  ["over 3s after 1", (s) => s.over("3s", { gap: 1 }), [7, 6]],
  ["over more than there is", (s) => s.over("100000d"), [8, 7, 6, 5, 4, 3, 2, 1, 0]],
];
for (const [name, need, want] of ownType) {
  test(`over its own window type: ${name}`, async () => {
    const { sees, core } = plant(need);
    for (let i = 0; i < 9; i++) await core.emit(windowOn(secondsType, i, i + 1));
    assert.deepStrictEqual((await core.emit(windowOn(secondsType, 9, 10))).get(sees).rows, want);
  });
}

const otherType: [string, Looks, number[]][] = [
  ["the newest", (s) => s, [9]],
  ["last 3", (s) => s.last(3), [9, 8, 7]],
  ["the newest after 2", (s) => s.newest({ gap: 2 }), [7]],
  ["the newest after 2s", (s) => s.newest({ gap: "2s" }), [7]],
  ["over 3s", (s) => s.over("3s"), [9, 8, 7]],
  ["over 3s after any time", (s) => s.over("3s", { gap: "1ns" }), [8, 7]],
];
for (const [name, need, want] of otherType) {
  test(`over another window type: ${name}`, async () => {
    const { sees, core } = plant(need, minute);
    for (let i = 0; i < 11; i++) await core.emit(windowOn(secondsType, i, i + 1)); // the last one ends after the minute
    assert.deepStrictEqual((await core.emit(windowOn(minute, 0, 10))).get(sees).rows, want);
  });
}

test("failures leave no row, and late windows come in their place", async () => {
  const { source, sees, core } = plant((s) => s.last(2), secondsType, last(9));
  await core.emit(windowOn(secondsType, 1, 2));
  const failed = await core.emit(windowOn(secondsType, 2, 3, "a", "fail"));
  assert.equal(failed.state, "failed");
  assert.equal(failed.node(sees).reason, "needs Source 1.0.0, which failed (handled)");
  assert.throws(() => failed.get(sees), { name: "NoResultError", message: /skipped: needs Source/ });
  assert.throws(() => failed.check(), /run of window w-2 failed\nSource .*: asked for\nSees .*: skipped/);
  await core.emit(windowOn(secondsType, 4, 5));
  const late = await core.emit(windowOn(secondsType, 3, 4));
  assert.deepStrictEqual(late.get(sees), { rows: [1], own: [1] });
  const next = await core.emit(windowOn(secondsType, 5, 6));
  assert.deepStrictEqual(next.get(sees), { rows: [4, 3], own: [4, 3, 1] });
  assert.deepStrictEqual(core.results(source).values, [5, 4, 3, 1]);
});

test("filters keep apart", async () => {
  const { sees, core } = plant((s) => s.last(9));
  const assets = ["a", null, 0, false, "", [0], {}, Number.NaN];
  for (const [i, asset] of assets.entries()) await core.emit(windowOn(secondsType, i, i + 1, asset));
  for (const [i, asset] of assets.entries()) {
    const outcome = await core.emit(windowOn(secondsType, 100 + i, 101 + i, asset));
    assert.deepStrictEqual(outcome.get(sees).rows, [i]);
  }
  assert.deepStrictEqual((await core.emit(windowOn(secondsType, 200, 201, -0))).get(sees).rows, [102, 2]);
});

test("windows of one interval are not each other's past", async () => {
  const { sees, core } = plant((s) => s.last(9));
  for (let i = 0; i < 2; i++) assert.deepStrictEqual((await core.emit(windowOn(secondsType, 1, 3))).get(sees).rows, []);
  assert.deepStrictEqual((await core.emit(windowOn(secondsType, 2, 3))).get(sees).rows, [1, 1]);
});

test("noStore values reach algorithms, and no rows", async () => {
  const { source, core } = plant((s) => s);
  await core.emit(windowOn(secondsType, 1, 2, "a", "x"));
  assert.deepStrictEqual(core.results(source).at(0)?.window.metadata, { asset: "a" });
  assert.equal(core.accepted[0]?.metadata["secret"], "x");
});

test("two algorithms of one name are told apart", async () => {
  const [a, b] = [new Processor("a"), new Processor("b")];
  const make = (processor: Processor, number: number) =>
    processor.algorithm("Speed", "1.0.0", lap, { result: value }, () => number);
  const [one, two] = [make(a, 1), make(b, 2)];
  const both = b.algorithm("Both", "1.0.0", lap, { result: array, needs: [two, one] }, (run) => [
    run.get(one).value,
    run.get(two).value,
  ]);
  assert.deepStrictEqual((await new Core(a, b).emit(lapAt(1))).get(both), Float32Array.of(1, 2));
});
