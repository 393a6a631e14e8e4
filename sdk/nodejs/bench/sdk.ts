// The processor of the shape single, written with the SDK, for `orca bench --processor`.
import { once } from "node:events";
import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import * as orca from "@orca-telemetry/sdk";

const epoch = 1_577_836_800n; // when window 0 begins, in seconds: every window is a second
const registered = 0xffffffff;

/** Tells whoever started this what was done, and when. */
function report(window: bigint, node: number): void {
  const record = Buffer.alloc(20);
  record.writeBigInt64LE(window, 0);
  record.writeUInt32LE(node, 8);
  record.writeBigInt64LE(BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6)), 12);
  writeSync(1, record);
}

const options = { core: { type: "string" }, shape: { type: "string" }, name: { type: "string" } } as const;
const { core = "", name = "" } = parseArgs({ options }).values;

const asset = orca.field("asset", "string", { description: "The asset", filter: true });
const single = new orca.WindowType("Single", "1.0.0", { description: "A second of one asset", fields: [asset] });
const processor = new orca.Processor(name, { core, listen: "127.0.0.1:0", environment: false });
processor.algorithm("Single0", "1.0.0", single, { result: orca.value, description: "One" }, (run) => {
  report(run.window.timeFrom / 1_000_000_000n - epoch, 0);
  return 1;
});

const session = await processor.start();
await session.registered();
report(0n, registered);
process.stdin.resume();
await once(process.stdin, "end");
await session.stop();
