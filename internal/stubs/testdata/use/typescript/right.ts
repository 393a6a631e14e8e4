// A program that uses the stubs.
import type { Run } from "@orca-telemetry/sdk";
import * as pitWall from "./stubs/pit-wall.js";
import * as racing from "./stubs/racing.js";

export const needs = [racing.speedV1_0_0, racing.speedV2_10_0, racing.report, racing.done, pitWall.speed];

export function grip(run: Run<unknown>): number {
  const speed: number = run.get(racing.speedV1_0_0).value;
  const wheels: Float32Array = run.get(racing.speedV2_10_0).value;
  return speed + (wheels[0] ?? 0);
}
