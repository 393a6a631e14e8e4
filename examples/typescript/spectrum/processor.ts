// An algorithm that computes for long: it runs on worker threads, so that the processor goes on answering the core.
import * as orca from "@orca-telemetry/sdk";

const samples = orca.field("samples", "array", { noStore: true, description: "What the sensor measured" });
const burst = new orca.WindowType("Burst", "1.0.0", { description: "A burst of vibration", fields: [samples] });
const plant = new orca.Processor("plant", { threads: 2 });

plant.algorithm("Spectrum", "1.0.0", burst, { result: orca.array, worker: import.meta.url }, (run) => {
  const measured = run.window.get(samples).map(Number);
  return Array.from({ length: measured.length / 2 }, (_, k) => amplitude(measured, k));
});

/** Gives how strong a frequency is, of so many periods in the whole. */
function amplitude(measured: readonly number[], periods: number): number {
  let [real, imaginary] = [0, 0];
  for (const [i, sample] of measured.entries()) {
    const angle = (2 * Math.PI * periods * i) / measured.length;
    real += sample * Math.cos(angle);
    imaginary += sample * Math.sin(angle);
  }
  return (2 * Math.hypot(real, imaginary)) / measured.length;
}

await plant.run();
