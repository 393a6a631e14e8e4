// The first processor: two algorithms that run for each lap, one on the result of the other.
import * as orca from "@orca-telemetry/sdk";

const lap = new orca.WindowType("Lap", "1.0.0", { description: "One lap of 5.891 km" });
const processor = new orca.Processor("my-project", { log: console });

const speed = processor.algorithm("Speed", "1.0.0", lap, { result: orca.value }, (run) => {
  return 5891 / run.window.seconds; // m/s
});

processor.algorithm("SpeedKmh", "1.0.0", lap, { result: orca.value, needs: [speed] }, (run) => {
  return 3.6 * run.get(speed).value;
});

await processor.run();
