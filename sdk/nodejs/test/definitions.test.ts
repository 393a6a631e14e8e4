import assert from "node:assert/strict";
import { test } from "node:test";
import { field, last, newest, over, Processor, remote, value, Window, WindowType } from "../src/index.js";
import { durationOf, durationText, nanosecondsOf, timeText } from "../src/time.js";

const lap = new WindowType("Lap", "1.0.0");
const start = new Date("2026-03-01T14:00:00Z");

test("durations are exact", () => {
  for (const [text, nanoseconds] of [
    ["1ns", 1n],
    ["1h30m", 5_400_000_000_000n],
    ["0.5s", 500_000_000n],
    ["1.5us2ns", 1502n],
    ["250ms", 250_000_000n],
    ["2d", 172_800_000_000_000n],
  ] as const) {
    assert.equal(durationOf("x", text), nanoseconds);
    assert.equal(durationOf("x", durationText(nanoseconds)), nanoseconds);
  }
  for (const wrong of ["", "1", "s", "1 s", "1.5ns", "-1s", "1h30", 5]) {
    assert.throws(() => durationOf("gap", wrong), /^InvalidError: gap .*: must be/);
  }
});

test("times are nanoseconds, and numbers are refused", () => {
  assert.equal(nanosecondsOf("from", 1n), 1n);
  assert.equal(nanosecondsOf("from", start), 1_772_373_600_000_000_000n);
  assert.equal(nanosecondsOf("from", { epochNanoseconds: 7n }), 7n);
  assert.equal(timeText(1_772_373_600_000_000_001n), "2026-03-01T14:00:00.000000001Z");
  assert.throws(() => nanosecondsOf("from", 1_772_373_600_000), /from time 1772373600000: must be nanoseconds/);
  assert.throws(() => nanosecondsOf("from", new Date(Number.NaN)), /the Date is invalid/);
});

test("a window keeps its nanoseconds", () => {
  const window = new Window(lap, 1_772_373_600_000_000_001n, 1_772_373_688_000_000_003n, { origin: "test" });
  assert.deepStrictEqual(
    [window.timeFrom, window.timeTo, window.duration, window.seconds, window.start],
    [1_772_373_600_000_000_001n, 1_772_373_688_000_000_003n, 88_000_000_002n, 88.000000002, start],
  );
});

test("a window's metadata is checked where it is made", () => {
  const machine = field("machine", "string", { filter: true });
  const celsius = field("celsius", "number", { nullable: true });
  const second = new WindowType("Second", "1.0.0", { fields: [machine, celsius] });
  const made = (metadata: Record<string, unknown>) => new Window(second, start, start, { origin: "test", metadata });
  const window = made({ machine: "m-1", celsius: null, more: [1] });
  const [name, reading]: [string, number | null] = [window.get(machine), window.get(celsius)];
  assert.deepStrictEqual([name, reading, window.metadata["more"]], ["m-1", null, [1]]);
  assert.throws(() => made({ machine: "m-1" }), /window type Second 1.0.0 declares celsius, which this window lacks/);
  assert.throws(() => made({ machine: null, celsius: 1 }), /"machine": null is not of type string; say nullable: true/);
  assert.throws(() => made({ machine: "m", celsius: "1" }), /"celsius": "1" is not of type number/);
  assert.throws(() => window.get(field("other")), /has no field "other"/);
});

for (const [name, make, words] of [
  ["an empty origin", () => new Window(lap, 1n, 2n, { origin: "" }), /origin of the window: must not be empty/],
  ["the epoch", () => new Window(lap, 0n, 2n, { origin: "o" }), /from time 1970-01-01T00:00:00Z: must lie between/],
  ["a time too late", () => new Window(lap, 1n, 2n ** 63n, { origin: "o" }), /to time .*: must lie between/],
  [
    "an end before the beginning",
    () => new Window(lap, 2n, 1n, { origin: "o" }),
    /window: it ends .* before it begins/,
  ],
  ["a name", () => new WindowType("lap", "1.0.0"), /window type name "lap": must be PascalCase/],
  ["a version", () => new WindowType("Lap", "1.0"), /version "1.0": must be plain semver/],
  ["a field twice", () => new WindowType("A", "1.0.0", { fields: [field("a"), field("a")] }), /"a" is there twice/],
  ["a count", () => last(1.5), /lookback 1.5: must be a number of results/],
  ["a negative count", () => last(-1), /lookback of -1 results: must be from 0 to 4294967295/],
  ["a gap", () => last(1, { gap: "soon" }), /gap "soon": must be whole nanoseconds/],
  ["a span", () => over(1n << 63n), /must not be negative nor longer than 292 years/],
  ["a processor", () => new Processor(""), /processor name: must not be empty/],
] as const) {
  test(`${name} that breaks the rules is refused where it is written`, () => {
    assert.throws(make, { name: "InvalidError", message: words });
  });
}

test("lookbacks say what they are", () => {
  const gaps = [last(24), last(24, { gap: 1 }), over("1h", { gap: "10m" }), newest({ gap: 2 }), newest()];
  assert.deepStrictEqual(gaps.map(String), ["last 24", "last 24, gap 1", "over 1h, gap 10m", "gap 2", "no lookback"]);
});

test("definitions are checked where they are written", () => {
  const plant = new Processor("plant");
  const run = () => 1;
  const mean = plant.algorithm("Mean", "1.0.0", lap, { result: value }, run);
  const other = remote("other", "Mean", "1.0.0", value);
  const define = (name: string, options: object) => () =>
    plant.algorithm(name, "1.0.0", lap, { result: value, ...options }, run);
  assert.throws(define("mean", {}), /algorithm name "mean": must be PascalCase/);
  assert.throws(define("Mean", {}), /algorithm Mean 1.0.0: it is defined twice/);
  assert.throws(define("A", { result: undefined }), /result undefined: must be value, array, struct\(\) or none/);
  assert.throws(define("A", { needs: [mean.last(1), mean.last(1)] }), /Mean 1.0.0 of plant is there twice/);
  assert.throws(define("A", { needs: [mean.newest({ gap: 1 })] }), /it asks for no past results/);
  assert.throws(define("A", { needsSelf: newest({ gap: 1 }) }), /over own past results: it asks for no past/);
  assert.throws(define("A", { needs: ["Mean"] }), /needs\[0\] is "Mean": must be an algorithm/);
  assert.throws(define("A", { needs: [remote("plant", "A", "1.0.0")] }), /it needs itself/);
  assert.throws(define("A", { description: "x".repeat(1001) }), /1001 characters, at most 1000/);
  const fields = [field("a")];
  const changed = new WindowType("Lap", "1.0.0", { fields });
  assert.throws(
    () => plant.algorithm("B", "1.0.0", changed, { result: value }, run),
    /algorithm B 1.0.0: Mean declares other fields for window type Lap 1.0.0/,
  );
  define("A", { needs: [mean, mean.last(3), mean.over("1h"), other, other.newest({ gap: 1 })].slice(0, 4) })();
});
