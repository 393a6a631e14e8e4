// Processors: named sets of algorithms that a core sends work to.

import { availableParallelism } from "node:os";
import {
  type Algorithm,
  type AlgorithmFunction,
  type AlgorithmOptions,
  algorithmMessage,
  define,
  runtimeName,
} from "./algorithm.js";
import type { ProcessorRegistration } from "./contract/service.js";
import { InvalidError, OrcaError } from "./errors.js";
import { type Logger, warnings } from "./log.js";
import { AlgorithmID, checkText } from "./names.js";
import { Session } from "./session.js";
import { type AddressOptions, type CoreOptions, look, resolveProcessor, type TLS } from "./settings.js";
import { millisecondsOf, type Timeout } from "./time.js";
import { sameFields, type WindowType } from "./window.js";
import { inWorker, serveInWorker } from "./worker.js";

/** What a processor is made of. What is not said here comes from the environment and orca.json when it is run. */
export interface ProcessorOptions extends CoreOptions, AddressOptions {
  /** Serves TLS with this certificate and key. */
  readonly serverTls?: TLS;
  /** How many algorithms run at once: 32, or four for each CPU if that is more. */
  readonly concurrency?: number;
  /** How many worker threads there are at most: one for each CPU. */
  readonly threads?: number;
  /** For how long running algorithms are waited for in the end: 30 seconds. What is cut off runs again. */
  readonly drain?: Timeout;
  /** Where it says what its users should know: warnings go to standard error without it. */
  readonly log?: Logger;
}

/**
 * A named set of algorithms that a core sends work to.
 *
 *     const racing = new Processor("racing");
 *     const speed = racing.algorithm("Speed", "1.0.0", lap, { result: value }, (run) => 5891 / run.window.seconds);
 *     await racing.run();
 *
 * The name identifies it towards the core, in every program that serves it: several instances of one name share its work.
 */
export class Processor {
  /** What it is called towards the core. */
  readonly name: string;
  readonly #algorithms: Algorithm<unknown>[] = [];
  readonly #options: ProcessorOptions;
  readonly #concurrency: number;
  readonly #threads: number;
  readonly #drain: number;
  #running = false;

  constructor(name: string, options: ProcessorOptions = {}) {
    checkText("processor name", name);
    this.name = name;
    this.#options = options;
    this.#concurrency = atLeastOne("concurrency", options.concurrency ?? Math.max(32, 4 * availableParallelism()));
    this.#threads = atLeastOne("threads", options.threads ?? availableParallelism());
    this.#drain = millisecondsOf("drain", options.drain ?? 30_000);
  }

  /** What it has. */
  get algorithms(): readonly Algorithm<unknown>[] {
    return this.#algorithms;
  }

  /**
   * Turns a function of one argument, the run, into an algorithm that windows of a type trigger. What it gives is the
   * `result` of the options: the function returns, or promises, just that.
   *
   * Mistakes throw InvalidError at once.
   */
  algorithm<T, Given>(
    name: string,
    version: string,
    on: WindowType,
    options: AlgorithmOptions<T, Given>,
    run: AlgorithmFunction<NoInfer<T>, NoInfer<Given>>,
  ): Algorithm<T> {
    if (this.#running) {
      throw new InvalidError(`algorithm ${name} ${version}: defined while its processor runs; define all before`);
    }
    const algorithm = define<T, Given>(new AlgorithmID(this.name, name, version), on, options, run);
    this.#checkAgainstOthers(algorithm);
    this.#algorithms.push(algorithm);
    serveInWorker(algorithm);
    return algorithm;
  }

  #checkAgainstOthers({ id, on }: Algorithm<unknown>): void {
    for (const other of this.#algorithms) {
      if (other.id.equals(id)) throw new InvalidError(`algorithm ${id.name} ${id.version}: it is defined twice`);
      if (on !== undefined && other.on?.equals(on) && !sameFields(other.on, on)) {
        throw new InvalidError(
          `algorithm ${id.name} ${id.version}: ${other.id.name} declares other fields for window type ${on}`,
        );
      }
    }
  }

  /** Gives what the core is told. */
  #registration(address: string, project: string): ProcessorRegistration {
    return {
      name: this.name,
      runtime: runtimeName(),
      connectionStr: address,
      supportedAlgorithms: this.#algorithms.map(algorithmMessage),
      projectName: project,
    };
  }

  /**
   * Serves until Ctrl-C or SIGTERM, then finishes what runs, and resolves. A second signal acts as it did before.
   *
   * It listens, registers with the core, however long that takes to come up, registers again when the core has lost it, and
   * executes what the core asks for. It rejects when it cannot listen, and when the core refuses it. On a worker thread of
   * an algorithm it does nothing. Programs that take signals themselves use `serve` or `start`.
   */
  async run(): Promise<void> {
    if (inWorker()) return;
    const stop = new AbortController();
    const take = () => {
      for (const signal of signals) process.removeListener(signal, take);
      stop.abort();
    };
    for (const signal of signals) process.on(signal, take);
    try {
      await this.serve(stop.signal);
    } finally {
      for (const signal of signals) process.removeListener(signal, take);
    }
  }

  /** Serves until the signal is aborted, then finishes what runs, and resolves. See `run`. */
  async serve(signal: AbortSignal): Promise<void> {
    const session = await this.start();
    const stop = () => void session.stop();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      await session.finished();
    } finally {
      signal.removeEventListener("abort", stop);
      await session.stop();
    }
  }

  /** Begins to serve. The core may come up later; `await session.registered()` waits for it. See `run`. */
  async start(): Promise<Session> {
    if (this.#running) throw new OrcaError(`processor ${this.name} runs already`);
    this.#running = true;
    try {
      const session = await Session.start({
        name: this.name,
        algorithms: this.#algorithms,
        settings: resolveProcessor(this.#options, look(this.#options.environment ?? true)),
        serverTls: this.#options.serverTls,
        registration: (address, project) => this.#registration(address, project),
        concurrency: this.#concurrency,
        threads: this.#threads,
        drain: this.#drain,
        log: this.#options.log ?? warnings,
        stopped: () => {
          this.#running = false;
        },
      });
      return session;
    } catch (error) {
      this.#running = false;
      throw error;
    }
  }
}

const signals = ["SIGINT", "SIGTERM"] as const;

function atLeastOne(what: string, count: number): number {
  if (Number.isInteger(count) && count >= 1) return count;
  throw new InvalidError(`${what} ${count}: must be 1 or more`);
}
