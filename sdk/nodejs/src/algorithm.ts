// Algorithms: a function with its name, what triggers it, what it needs and what it gives.

import type { AlgorithmDependency, Algorithm as AlgorithmMessage } from "./contract/service.js";
import { InvalidError } from "./errors.js";
import { checkIdle, type GapOptions, Lookback, last, newest, noLookback, over, writeLookback } from "./lookback.js";
import { AlgorithmID, checkDescription, checkName, checkText, checkVersion, quoted } from "./names.js";
import { type AnyResult, any, type Kind } from "./results.js";
import type { Run } from "./run.js";
import type { Duration } from "./time.js";
import { WindowType, windowTypeMessage } from "./window.js";

/** Gives the runtime that this process announces, such as "node20.20.2". */
export function runtimeName(): string {
  return `node${process.versions.node}`;
}

/** The function of an algorithm: it is given the run, and returns, or promises, a result. */
export type AlgorithmFunction<T, Given> = (run: Run<T>) => Given | Promise<Given>;

/** What is said of an algorithm beside its name, version, window type and function. */
export interface AlgorithmOptions<T, Given> {
  /** What it gives: `value`, `array`, `struct<Report>()` or `none`. */
  readonly result: Kind<T, Given>;
  /** The algorithms whose results it takes: `speed` for the current window's, `speed.last(24)` for past ones too. */
  readonly needs?: readonly Need[];
  /** Hands it its own past results: `last(1)`. */
  readonly needsSelf?: Lookback;
  /** What it does, for those who look at what there is. */
  readonly description?: string;
  /**
   * Runs it on a worker thread, which imports this module to find it: `import.meta.url`, or `__filename`. For what
   * computes for long, so that the processor goes on answering heartbeats.
   */
  readonly worker?: string | URL;
}

/** What an Algorithm is made of. */
interface Definition<T> {
  readonly id: AlgorithmID;
  readonly kind: Kind<T, never>;
  readonly runtime: string;
  readonly on?: WindowType;
  readonly run?: (run: Run<never>) => unknown;
  readonly needs?: readonly Dependency<unknown>[];
  readonly needsSelf?: Lookback;
  readonly description?: string;
  readonly worker?: string | undefined;
}

/**
 * An algorithm whose results are of type T: one of this program's, or another processor's that `remote` names.
 *
 * It is what `needs` takes and what reads its results: `run.get(speed).value`, `outcome.get(speed)`, `client.results(speed)`.
 */
export class Algorithm<T> {
  /** Identifies it. */
  readonly id: AlgorithmID;
  /** What it gives. */
  readonly kind: Kind<T, never>;
  /** The runtime that is preferred for it. */
  readonly runtime: string;
  /** What triggers it, unless it is another processor's. */
  readonly on: WindowType | undefined;
  /** What it does, unless it is another processor's. */
  readonly run: ((run: Run<never>) => unknown) | undefined;
  /** Whose results it takes. */
  readonly needs: readonly Dependency<unknown>[];
  /** Its lookback over its own past results. */
  readonly needsSelf: Lookback;
  /** What it does, in words. */
  readonly description: string;
  /** The module that a worker thread imports to find it. */
  readonly worker: string | undefined;
  /** The algorithm without a lookback. */
  readonly whole: Dependency<T>;

  /** @internal */
  constructor(definition: Definition<T>) {
    this.id = definition.id;
    this.kind = definition.kind;
    this.runtime = definition.runtime;
    this.on = definition.on;
    this.run = definition.run;
    this.needs = definition.needs ?? [];
    this.needsSelf = definition.needsSelf ?? noLookback;
    this.description = definition.description ?? "";
    this.worker = definition.worker;
    this.whole = new Dependency<T>(this, noLookback);
  }

  /** Needs the newest past results too, so many; `gap` leaves out the nearest. */
  last(count: number, options?: GapOptions): Dependency<T> {
    return new Dependency<T>(this, last(count, options));
  }

  /** Needs the results of the whole windows within a duration too. */
  over(duration: Duration, options?: GapOptions): Dependency<T> {
    return new Dependency<T>(this, over(duration, options));
  }

  /** Needs, of another window type, the newest past result after the gap. */
  newest(options?: GapOptions): Dependency<T> {
    return new Dependency<T>(this, newest(options));
  }

  /** For people: "Speed 1.0.0 of racing". */
  toString(): string {
    return String(this.id);
  }
}

/** An algorithm together with how far back its results are needed. */
export class Dependency<T> {
  constructor(
    /** Whose results. */
    readonly algorithm: Algorithm<T>,
    /** How far back. */
    readonly back: Lookback,
  ) {}

  /** For people: "Speed 1.0.0 of racing (last 24)". */
  toString(): string {
    return this.back.equals(noLookback) ? String(this.algorithm) : `${this.algorithm} (${this.back})`;
  }

  /** Says whether algorithm and lookback are the same. Equal ones read the same rows. */
  equals(other: Dependency<unknown>): boolean {
    return this.algorithm.id.equals(other.algorithm.id) && this.back.equals(other.back);
  }
}

/** What `needs` takes, and what reads the rows: an algorithm, or what its `last` or `over` made. */
export type Need<T = unknown> = Algorithm<T> | Dependency<T>;

/** Gives a need's place among an algorithm's needs, or -1. */
export function placeOf(algorithm: Algorithm<unknown>, need: Dependency<unknown>): number {
  return algorithm.needs.findIndex((known) => known === need || known.equals(need));
}

/** What is said of an algorithm of another processor. */
export interface RemoteOptions {
  /** Prefers instances of a runtime, such as "go1.26". */
  readonly runtime?: string;
}

/**
 * Names an algorithm of another processor, by what its results are. Without a kind they are read as whatever they are.
 *
 *     const speed = remote("racing", "Speed", "1.0.0", value);
 */
export function remote(processor: string, name: string, version: string): Algorithm<AnyResult>;
export function remote<T, Given>(
  processor: string,
  name: string,
  version: string,
  result: Kind<T, Given>,
  options?: RemoteOptions,
): Algorithm<T>;
export function remote(
  processor: string,
  name: string,
  version: string,
  result: Kind<unknown, never> = any,
  options: RemoteOptions = {},
): Algorithm<unknown> {
  checkText("processor name", processor);
  checkName("algorithm", name);
  checkVersion("algorithm", version);
  const runtime = options.runtime ?? runtimeName();
  checkText("runtime", runtime);
  return new Algorithm({ id: new AlgorithmID(processor, name, version), kind: result, runtime });
}

/** Makes an algorithm of this program and checks all that is said of it. */
export function define<T, Given>(
  id: AlgorithmID,
  on: WindowType,
  options: AlgorithmOptions<T, Given>,
  run: AlgorithmFunction<T, Given>,
): Algorithm<T> {
  checkName("algorithm", id.name);
  checkVersion("algorithm", id.version);
  try {
    if (!(on instanceof WindowType)) throw new InvalidError(`on ${quoted(on)}: must be a WindowType`);
    if (typeof run !== "function") throw new InvalidError(`${quoted(run)} is not a function`);
    const { result, needs = [], needsSelf = noLookback, description = "", worker } = options;
    if (typeof result?.write !== "function") {
      throw new InvalidError(`result ${quoted(result)}: must be value, array, struct() or none`);
    }
    checkDescription("algorithm", description);
    checkSelf(needsSelf);
    return new Algorithm<T>({
      id,
      kind: result,
      runtime: runtimeName(),
      on,
      run,
      needs: dependencies(id, on, needs),
      needsSelf,
      description,
      worker: worker === undefined ? undefined : String(worker),
    });
  } catch (error) {
    if (!(error instanceof InvalidError)) throw error;
    throw new InvalidError(`algorithm ${id.name} ${id.version}: ${error.message}`);
  }
}

function checkSelf(back: Lookback): void {
  if (!(back instanceof Lookback)) {
    throw new InvalidError(`needsSelf ${quoted(back)}: must be what last or over made`);
  }
  checkIdle(back, "own past results");
}

function dependencies(id: AlgorithmID, on: WindowType, needs: readonly Need[]): readonly Dependency<unknown>[] {
  const found: Dependency<unknown>[] = [];
  for (const [place, need] of needs.entries()) {
    const dependency = need instanceof Algorithm ? need.whole : need;
    if (!(dependency instanceof Dependency)) {
      throw new InvalidError(`needs[${place}] is ${quoted(need)}: must be an algorithm, or what its last or over made`);
    }
    const other = dependency.algorithm;
    if (other.id.equals(id)) {
      throw new InvalidError(`needs[${place}]: it needs itself; ask for its own past results with needsSelf`);
    }
    if (other.on?.equals(on)) checkIdle(dependency.back, String(other.id));
    if (found.some((known) => known.equals(dependency))) {
      throw new InvalidError(`needs[${place}]: ${other.id} is there twice with the same lookback`);
    }
    found.push(dependency);
  }
  return found;
}

/** Gives an algorithm's announcement. */
export function algorithmMessage(algorithm: Algorithm<unknown>): AlgorithmMessage {
  return {
    name: algorithm.id.name,
    version: algorithm.id.version,
    windowType: algorithm.on === undefined ? undefined : windowTypeMessage(algorithm.on),
    dependencies: algorithm.needs.map(dependencyMessage),
    resultType: algorithm.kind.type,
    description: algorithm.description,
    ...writeLookback(algorithm.needsSelf),
  };
}

/** Gives a dependency's part of an announcement. */
export function dependencyMessage({ algorithm, back }: Dependency<unknown>): AlgorithmDependency {
  return {
    name: algorithm.id.name,
    version: algorithm.id.version,
    processorName: algorithm.id.processor,
    processorRuntime: algorithm.runtime,
    ...writeLookback(back),
  };
}

/** Gives what names an algorithm on the wire, and nothing else of it. */
export function nameOnly(name: string, version: string): AlgorithmMessage {
  return {
    name,
    version,
    windowType: undefined,
    dependencies: [],
    resultType: 0,
    description: "",
    lookback: undefined,
    lookbackGap: undefined,
  };
}
