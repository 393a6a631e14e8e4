// Tests of the machines' algorithms: no core, no network, no clock.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as orca from "@orca-telemetry/sdk";
import { Core, call, given } from "@orca-telemetry/sdk/testing";
import { machines, minute, report, second, smooth, temperature, trend } from "./algorithms.js";

const midnight = Date.UTC(2026, 2, 1);

function secondOf(machine: string, i: number, celsius: number | null): orca.Window {
  const [start, end] = [new Date(midnight + 1000 * i), new Date(midnight + 1000 * (i + 1))];
  return new orca.Window(second, start, end, { origin: "test", metadata: { machine, celsius } });
}

test("one algorithm alone", async () => {
  const before = new orca.Row(secondOf("m-1", 0, null), 20);
  const inputs = [given(temperature, { current: 24 })];
  assert.equal(await call(smooth, secondOf("m-1", 1, null), { inputs, own: [before] }), 21);
});

test("a minute is reported from its seconds", async () => {
  const past = [0, 1].map((i) => new orca.Row(secondOf("m-1", i, null), 20 + i));
  const [start, end] = [new Date(midnight), new Date(midnight + 60_000)];
  const window = new orca.Window(minute, start, end, { origin: "test", metadata: { machine: "m-1" } });
  const reported = await call(report, window, { inputs: [given(temperature, { past })] });
  assert.deepEqual(reported, { mean: 20.5, highest: 21, seconds: 2 });
});

test("the trend follows each machine", async () => {
  const core = new Core(machines);
  // One gets warmer by 3 degrees in a minute, the other colder by 6.
  for (let i = 0; i < 99; i++) {
    await core.emit(secondOf("m-1", i, 20 + 0.05 * i));
    await core.emit(secondOf("m-2", i, 80 - 0.1 * i));
  }
  const warmer = await core.emit(secondOf("m-1", 99, 20 + 0.05 * 99));
  const colder = await core.emit(secondOf("m-2", 99, 80 - 0.1 * 99));
  assert.deepEqual([Math.round(1000 * warmer.get(trend)), Math.round(1000 * colder.get(trend))], [3000, -6000]);
});

test("a failed reading skips what needs it", async () => {
  const outcome = await new Core(machines).emit(secondOf("m-1", 0, null));
  assert.equal(outcome.node(trend).reason, "needs Temperature 1.0.0, which failed (handled)");
});
