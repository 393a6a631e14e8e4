// The other side of threads.ts: an algorithm that runs on a worker thread.

import { isMainThread, parentPort, workerData } from "node:worker_threads";
import type { Algorithm } from "./algorithm.js";
import { ExecuteAlgorithm, Result, Window as WindowMessage } from "./contract/service.js";
import type { Emission } from "./emission.js";
import { errorOf, InvalidError, OrcaError } from "./errors.js";
import { execute, failed } from "./execute.js";
import type { Emitter } from "./run.js";
import { type FromWorker, type ToWorker, workerMark } from "./threads.js";

/** Says whether this is a worker thread that a processor of the SDK has started. */
export function inWorker(): boolean {
  return !isMainThread && workerData === workerMark;
}

let served: Map<string, Algorithm<unknown>> | undefined; // by their identities, in a worker

/** Lets this worker thread run an algorithm. It does nothing elsewhere. */
export function serveInWorker(algorithm: Algorithm<unknown>): void {
  if (!inWorker()) return;
  if (served === undefined) {
    served = new Map();
    listen(served);
  }
  served.set(String(algorithm.id), algorithm);
  tell({ kind: "defined", id: String(algorithm.id) });
}

function tell(message: FromWorker): void {
  parentPort?.postMessage(message);
}

interface Waiting {
  resolve(emission: Emission): void;
  reject(error: Error): void;
}

function listen(algorithms: ReadonlyMap<string, Algorithm<unknown>>): void {
  const emits = new Map<number, Waiting>(); // by the number of the call
  let calls = 0;
  let running = new AbortController();
  const emit: Emitter = (window, key) =>
    new Promise((resolve, reject) => {
      const call = calls++;
      emits.set(call, { resolve, reject });
      tell({ kind: "emit", call, window: WindowMessage.encode(window.message).finish(), key });
    });
  parentPort?.on("message", (message: ToWorker) => {
    switch (message.kind) {
      case "run":
        running = new AbortController();
        void perform(algorithms.get(message.id), message, emit, running.signal);
        break;
      case "cancel":
        running.abort(new OrcaError("the core has given this execution up"));
        break;
      case "emitted":
        if (message.error !== undefined)
          emits.get(message.call)?.reject(errorOf(message.error.name, message.error.message));
        else emits.get(message.call)?.resolve(message.emission as Emission);
        emits.delete(message.call);
        break;
      default:
        message satisfies never;
    }
  });
}

async function perform(
  algorithm: Algorithm<unknown> | undefined,
  { id, window, asked, execId, cancelled }: ToWorker & { kind: "run" },
  emit: Emitter,
  signal: AbortSignal,
): Promise<void> {
  if (algorithm === undefined) {
    tell({ kind: "done", result: Result.encode(failed(new InvalidError(`${id} is not defined here`))).finish() });
    return;
  }
  const { result } = await execute(algorithm, {
    window: WindowMessage.decode(window),
    asked: ExecuteAlgorithm.decode(asked),
    emit,
    signal,
    execId,
    cancelled: () => Atomics.load(cancelled, 0) === 1,
  });
  tell({ kind: "done", result: Result.encode(result).finish() });
}
