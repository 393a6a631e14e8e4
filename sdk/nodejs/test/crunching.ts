// Algorithms on worker threads, for tests. The threads import this module too.

import { isMainThread, threadId } from "node:worker_threads";
import { Failure, field, Processor, type ProcessorOptions, type Run, struct, value, WindowType } from "../src/index.js";
import { windowOn } from "./windows.js";

export const burst = new WindowType("Burst", "1.0.0", { fields: [field("asset"), field("secret")] });
export const nested = new WindowType("Nested", "1.0.0");

const worker = import.meta.url;

/** Waits until the other side has set a number, without giving the thread away. */
function busy(run: Run<unknown>): void {
  while (!run.cancelled) {
    // It computes.
  }
}

/** Makes a processor. On a worker thread it is made as well, when this module is imported. */
export function crunching(options: ProcessorOptions): Processor {
  const processor = new Processor("crunching", options);
  processor.algorithm("Where", "1.0.0", burst, { result: struct(), worker }, (run) => {
    return {
      main: isMainThread,
      thread: threadId,
      from: String(run.window.timeFrom),
      asset: run.window.metadata["asset"] ?? null,
    };
  });
  processor.algorithm("Crunch", "1.0.0", burst, { result: value, worker }, (run) => {
    busy(run);
    return 1;
  });
  processor.algorithm("Fails", "1.0.0", burst, { result: value, worker }, () => {
    throw new Failure("no signal", { thread: true });
  });
  processor.algorithm("Breaks", "1.0.0", burst, { result: value, worker }, () => {
    throw new RangeError("too far");
  });
  processor.algorithm("Exits", "1.0.0", burst, { result: value, worker }, () => process.exit(7));
  processor.algorithm("Emits", "1.0.0", burst, { result: value, worker }, async (run) => {
    const emission = await run.emit(windowOn(nested, 1, 2), { idempotencyKey: "key" });
    return Number(emission.windowId.replace("w-", ""));
  });
  processor.algorithm("Here", "1.0.0", burst, { result: value }, () => 1);
  return processor;
}

if (!isMainThread) await crunching({}).run(); // which does nothing there
