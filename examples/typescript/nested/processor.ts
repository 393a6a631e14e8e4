// Emitting from an algorithm: a session is cut into laps, which are windows of their own.
import * as orca from "@orca-telemetry/sdk";

const marks = orca.field("marks", "array", { description: "Seconds at which the line was crossed" });
const session = new orca.WindowType("Session", "1.0.0", { description: "One run on the track", fields: [marks] });
const lap = new orca.WindowType("SessionLap", "1.0.0", { description: "One lap of a session" });
const track = new orca.Processor("track");

// The lap times. Each lap is emitted; a key of the session's own data keeps a second try from doing so again.
track.algorithm("Laps", "1.0.0", session, { result: orca.array }, async (run) => {
  const crossed = run.window.get(marks).map((mark) => run.window.timeFrom + BigInt(Math.round(Number(mark) * 1e9)));
  const times: number[] = [];
  for (const [i, begin] of crossed.slice(0, -1).entries()) {
    const window = new orca.Window(lap, begin, crossed[i + 1] ?? begin, { origin: "track" });
    const idempotencyKey = `lap-${run.window.origin}-${window.timeFrom}-${window.timeTo}`;
    await run.emit(window, { idempotencyKey });
    times.push(window.seconds);
  }
  return times;
});

track.algorithm("LapSpeed", "1.0.0", lap, { result: orca.value }, (run) => 5891 / run.window.seconds);

await track.run();
