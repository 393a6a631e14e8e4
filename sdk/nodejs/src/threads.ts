// Algorithms on worker threads: what travels there is a name and bytes, what comes back is bytes.
//
// A worker imports the module that an algorithm names. In it, `processor.algorithm` runs as everywhere, and tells this
// thread that the algorithm is there; `processor.run()` does nothing.

import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { Algorithm } from "./algorithm.js";
import { ExecuteAlgorithm, Result, Window as WindowMessage } from "./contract/service.js";
import { InvalidError, wordsOf } from "./errors.js";
import { type Executed, failed } from "./execute.js";
import type { AlgorithmID } from "./names.js";
import type { Execution } from "./run.js";
import { windowOf } from "./window.js";

/** Says to a worker thread that this SDK has started it. */
export const workerMark = "@orca-telemetry/sdk/worker";

const loadLimit = 30_000; // milliseconds in which a module defines its algorithms

/** What a worker is told. */
export type ToWorker =
  | {
      readonly kind: "run";
      readonly id: string;
      readonly window: Uint8Array;
      readonly asked: Uint8Array;
      readonly execId: string;
      /** Its one element becomes 1 when the execution is given up, which a busy thread can see. */
      readonly cancelled: Int32Array;
    }
  | { readonly kind: "cancel" }
  | { readonly kind: "emitted"; readonly call: number; readonly emission?: unknown; readonly error?: Told };

/** An error, as it travels between threads. */
interface Told {
  readonly name: string;
  readonly message: string;
}

/** What a worker tells. */
export type FromWorker =
  | { readonly kind: "defined"; readonly id: string }
  | { readonly kind: "done"; readonly result: Uint8Array }
  | { readonly kind: "emit"; readonly call: number; readonly window: Uint8Array; readonly key: string | undefined };

/** What runs on a thread. */
interface Task {
  readonly execution: Execution;
  readonly done: (executed: Executed) => void;
}

/** One worker thread, which runs one algorithm at a time. */
class Thread {
  readonly worker: Worker;
  readonly defined = new Set<string>();
  task: Task | undefined;
  told: () => void = () => undefined; // called when it defined something, or ended
  ended: string | undefined; // why

  constructor(
    readonly module: string,
    private readonly freed: (thread: Thread) => void,
  ) {
    const path = module.startsWith("file:") ? fileURLToPath(module) : module;
    this.worker = new Worker(path, { workerData: workerMark });
    this.worker.on("message", (message: FromWorker) => this.#heard(message));
    this.worker.on("error", (error) => this.#end(wordsOf(error)));
    this.worker.on("exit", (code) => this.#end(`it ended with code ${code}`));
  }

  run(algorithm: AlgorithmID, task: Task): void {
    const { window, asked, execId, signal } = task.execution;
    const cancelled = new Int32Array(new SharedArrayBuffer(4));
    const cancel = () => {
      Atomics.store(cancelled, 0, 1);
      this.#tell({ kind: "cancel" });
    };
    signal.addEventListener("abort", cancel, { once: true });
    const done = (executed: Executed) => {
      signal.removeEventListener("abort", cancel);
      task.done(executed);
    };
    this.task = { execution: task.execution, done };
    this.#tell({
      kind: "run",
      id: String(algorithm),
      window: WindowMessage.encode(window).finish(),
      asked: ExecuteAlgorithm.encode(asked).finish(),
      execId,
      cancelled,
    });
  }

  #tell(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  #heard(message: FromWorker): void {
    switch (message.kind) {
      case "defined":
        this.defined.add(message.id);
        this.told();
        break;
      case "done":
        this.#finish({ result: Result.decode(message.result) });
        break;
      case "emit":
        void this.#emit(message);
        break;
      default:
        message satisfies never;
    }
  }

  async #emit({ call, window, key }: FromWorker & { kind: "emit" }): Promise<void> {
    try {
      const emission = await this.task?.execution.emit(windowOf(WindowMessage.decode(window)), key);
      this.#tell({ kind: "emitted", call, emission });
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      this.#tell({ kind: "emitted", call, error: { name, message: wordsOf(error) } });
    }
  }

  #finish(executed: Executed): void {
    const { task } = this;
    this.task = undefined;
    task?.done(executed);
    this.freed(this);
  }

  #end(why: string): void {
    if (this.ended !== undefined) return;
    this.ended = why;
    this.told();
    const thrown = new Error(`the worker thread of ${this.module} failed: ${why}`);
    this.#finish({ result: failed(thrown), thrown });
  }
}

/** A pool of worker threads. At most `size` of them live; what comes beyond waits, in order. */
export class Threads {
  readonly #size: number;
  readonly #threads = new Set<Thread>();
  readonly #waiting: { readonly algorithm: Algorithm<unknown>; readonly task: Task }[] = []; // bounded by the processor's concurrency
  #closed = false;

  constructor(size: number) {
    this.#size = size;
  }

  /** Makes sure that each module is there and defines its algorithms, so that mistakes show at the start. */
  async load(algorithms: readonly Algorithm<unknown>[]): Promise<void> {
    const modules = new Map<string, string[]>();
    for (const { worker, id } of algorithms) {
      if (worker !== undefined) modules.set(worker, [...(modules.get(worker) ?? []), String(id)]);
    }
    await Promise.all([...modules].map(([module, ids]) => this.#load(module, ids)));
  }

  #load(module: string, ids: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const thread = this.#start(module);
      const missing = () => ids.filter((id) => !thread.defined.has(id));
      const refuse = (why: string) => {
        clearTimeout(timer);
        const names = missing().join(", ");
        reject(new InvalidError(`worker ${module}: it has to define ${names} when it is imported; ${why}`));
      };
      const timer = setTimeout(() => refuse(`it has not, ${loadLimit / 1000} s after its start`), loadLimit);
      thread.told = () => {
        if (missing().length > 0) {
          if (thread.ended !== undefined) refuse(thread.ended);
          return;
        }
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Runs an algorithm on a thread. It rejects with the signal's reason when it is given up before it began. */
  run(algorithm: Algorithm<unknown>, execution: Execution): Promise<Executed> {
    return new Promise((resolve, reject) => {
      const { signal } = execution;
      const waiting = { algorithm, task: { execution, done: resolve } };
      const abandon = () => {
        const place = this.#waiting.indexOf(waiting);
        if (place >= 0) this.#waiting.splice(place, 1);
        reject(signal.reason); // which does nothing once it has begun and ended
      };
      signal.addEventListener("abort", abandon, { once: true });
      this.#waiting.push(waiting);
      this.#next();
    });
  }

  /** Starts what waits, as far as there are threads. */
  #next(): void {
    while (!this.#closed) {
      const [first] = this.#waiting;
      const thread = first && this.#threadFor(first.algorithm.worker ?? "");
      if (thread === undefined || first === undefined) return;
      this.#waiting.shift();
      thread.run(first.algorithm.id, first.task);
    }
  }

  /** Gives an idle thread of a module, a new one, or the place of another module's idle one. */
  #threadFor(module: string): Thread | undefined {
    const idle = [...this.#threads].filter((thread) => thread.task === undefined);
    const known = idle.find((thread) => thread.module === module);
    if (known !== undefined) return known;
    const [other] = idle;
    if (this.#threads.size >= this.#size) {
      if (other === undefined) return undefined;
      this.#threads.delete(other);
      void other.worker.terminate();
    }
    return this.#start(module);
  }

  #start(module: string): Thread {
    const thread = new Thread(module, (freed) => {
      if (freed.ended !== undefined) this.#threads.delete(freed);
      this.#next();
    });
    this.#threads.add(thread);
    return thread;
  }

  /** Ends all threads. What runs on them is lost. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()));
  }
}
