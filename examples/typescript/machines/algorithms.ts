// Algorithms that look back: a trend over the last results, a smoother that takes its own, a report of each minute.
import * as orca from "@orca-telemetry/sdk";

const machine = orca.field("machine", "string", { filter: true, description: "Its serial number" });
const celsius = orca.field("celsius", "number", { nullable: true, description: "What its sensor read, or null" });

export const second = new orca.WindowType("MachineSecond", "1.0.0", {
  description: "One second of one machine",
  fields: [machine, celsius],
});
export const minute = new orca.WindowType("MachineMinute", "1.0.0", {
  description: "One minute of one machine",
  fields: [machine],
});

export const machines = new orca.Processor("machines");

export const temperature = machines.algorithm("Temperature", "1.0.0", second, { result: orca.value }, (run) => {
  const reading = run.window.get(celsius);
  if (reading === null) {
    throw new orca.Failure("the sensor gave no number", { machine: run.window.get(machine) });
  }
  return reading;
});

export const trend = machines.algorithm(
  "Trend",
  "1.0.0",
  second,
  {
    result: orca.value,
    needs: [temperature.last(60)],
    description: "Degrees per minute, over the last 60 results",
  },
  (run) => {
    const rows = run.get(temperature);
    if (rows.past.length < 10) throw new orca.Failure(`only ${rows.past.length} results before this one`);
    return slope(rows.toArray().map((row) => [-row.ageSeconds / 60, row.value]));
  },
);

export const smooth = machines.algorithm(
  "Smooth",
  "1.0.0",
  second,
  {
    result: orca.value,
    needs: [temperature],
    needsSelf: orca.last(1),
    description: "The temperature without its noise",
  },
  (run) => {
    const now = run.get(temperature).value;
    const before = run.own.latest;
    if (before === undefined || before.ageSeconds > 10) return now; // there is none yet, or it is too old to say anything
    return 0.25 * now + 0.75 * before.value;
  },
);

/** What is known of one minute. */
export interface Report {
  mean: number;
  highest: number;
  seconds: number;
}

export const report = machines.algorithm(
  "MinuteReport",
  "1.0.0",
  minute,
  { result: orca.struct<Report>(), needs: [temperature.over("1m")] },
  (run) => {
    const measured = run.get(temperature).values;
    if (measured.length === 0) throw new orca.Failure("nothing was measured in this minute");
    const sum = measured.reduce((total, reading) => total + reading, 0);
    return { mean: sum / measured.length, highest: Math.max(...measured), seconds: measured.length };
  },
);

/** Fits a line by least squares and gives its slope. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const [meanX, meanY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
}
