// A program that uses the stubs wrongly.
import type { Run } from "@orca-telemetry/sdk";
import * as racing from "./stubs/racing.js";

export function wrong(run: Run<unknown>): unknown {
  const wheels: Float32Array = run.get(racing.speedV1_0_0).value; // WRONG
  const speed: number = run.get(racing.speedV2_10_0).value; // WRONG
  const sum = run.get(racing.report).value + 1; // WRONG
  return [wheels, speed, sum, racing.speed]; // WRONG: which of them?
}
