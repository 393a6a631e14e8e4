// What TypeScript has to refuse. It is compiled and never run: each line below that has to be wrong is an error once it is not.

import { array, none, Processor, type Rows, struct, value, Window, WindowType } from "../src/index.js";

const lap = new WindowType("Lap", "1.0.0");

export function mistakes(): void {
  const plant = new Processor("plant");
  const mean = plant.algorithm("Mean", "1.0.0", lap, { result: value }, async () => 1);
  const trace = plant.algorithm("Trace", "1.0.0", lap, { result: array }, () => [1, 2]);
  const plan = plant.algorithm("Plan", "1.0.0", lap, { result: struct<{ laps: number }>() }, () => ({ laps: 1 }));
  plant.algorithm("Done", "1.0.0", lap, { result: none }, async () => {});
  plant.algorithm("Reads", "1.0.0", lap, { result: value, needs: [mean, trace, plan] }, (run) => {
    const number: number = run.get(mean).value;
    const floats: Float32Array = run.get(trace.last(2)).value;
    const laps: number = run.get(plan).value.laps;
    const own: Rows<number> = run.own;
    // @ts-expect-error: Mean gives numbers
    const text: string = run.get(mean).value;
    // @ts-expect-error: there may be no row
    const first: number = run.get(mean).latest.value;
    return [number, floats[0], laps, own.length, text, first].length;
  });
  // @ts-expect-error: a value is a number
  plant.algorithm("A", "1.0.0", lap, { result: value }, () => "1");
  // @ts-expect-error: also when it is promised
  plant.algorithm("A", "1.0.0", lap, { result: value }, async () => "1");
  // @ts-expect-error: an algorithm that gives no result throws a Failure
  plant.algorithm("A", "1.0.0", lap, { result: value }, () => undefined);
  // @ts-expect-error: an array holds numbers
  plant.algorithm("A", "1.0.0", lap, { result: array }, () => ["1"]);
  // @ts-expect-error: a field is missing
  plant.algorithm("A", "1.0.0", lap, { result: struct<{ laps: number }>() }, () => ({}));
  // @ts-expect-error: nothing is announced
  plant.algorithm("A", "1.0.0", lap, { result: none }, () => 1);
  // @ts-expect-error: a Date cannot be sent
  struct<{ when: Date }>();
  // @ts-expect-error: nor a bigint, however deep
  struct<{ list: { n: bigint }[] }>();
  // @ts-expect-error: the result has to be said
  plant.algorithm("A", "1.0.0", lap, {}, () => 1);
  // @ts-expect-error: a number could be seconds or milliseconds
  new Window(lap, 1, 2, { origin: "test" });
  // @ts-expect-error: every window says who emitted it
  new Window(lap, 1n, 2n, {});
  // @ts-expect-error: a window type is no need
  plant.algorithm("A", "1.0.0", lap, { result: value, needs: [lap] }, () => 1);
}
