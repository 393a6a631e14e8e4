// The first window: it is emitted, processed by the first processor, and its results are printed.
import * as orca from "@orca-telemetry/sdk";

const lap = new orca.WindowType("Lap", "1.0.0");

const start = new Date("2026-03-01T14:00:00Z");
const end = new Date(start.getTime() + 88_000);
const client = new orca.Client();
try {
  const emission = await client.emit(new orca.Window(lap, start, end, { origin: "first-window" }));
  const outcome = await client.wait(emission, { timeout: "60s" });
  for (const node of outcome.nodes) console.log(String(node));
  outcome.check();
} finally {
  client.close();
}
