// A DAG of three languages: the Go program examples/first-processor measures speed, examples/python/mixed makes a plan of it,
// and this one tells the driver.
import * as orca from "@orca-telemetry/sdk";

const lap = new orca.WindowType("Lap", "1.0.0", { description: "One lap of 5.891 km" });
const radio = new orca.Processor("radio");

/** What the pit wall says. */
interface Plan {
  call: "box" | "stay out";
  laps: number;
}

const speed = orca.remote("racing", "SpeedKmh", "1.0.0", orca.value);
const plan = orca.remote("pit-wall", "Strategy", "1.0.0", orca.struct<Plan>());

radio.algorithm(
  "Message",
  "1.0.0",
  lap,
  { result: orca.struct<{ text: string }>(), needs: [speed, plan], description: "What the driver hears" },
  (run) => {
    const { call, laps } = run.get(plan).value;
    return { text: `${call} after ${laps} laps, ${run.get(speed).value.toFixed(0)} km/h` };
  },
);

await radio.run();
