// What an algorithm is given for one window.

import { Algorithm, Dependency, type Need, placeOf } from "./algorithm.js";
import type { AlgorithmDependencyResultRow, ExecuteAlgorithm, Window as WindowMessage } from "./contract/service.js";
import type { Emission } from "./emission.js";
import { InvalidError } from "./errors.js";
import { arrange, type Given } from "./inputs.js";
import type { AlgorithmID } from "./names.js";
import type { Kind } from "./results.js";
import { Input, Row, Rows } from "./rows.js";
import { readTimestamp } from "./time.js";
import { type Window, windowOf } from "./window.js";

/** What is said when an algorithm emits a window. */
export interface RunEmitOptions {
  /** Made from the window's own data where the other window must not be emitted twice. */
  readonly idempotencyKey?: string;
}

/** How a run emits windows. */
export type Emitter = (window: Window, idempotencyKey: string | undefined) => Promise<Emission>;

/** Stands where the connection to a core would be, and says why there is none. */
export function noEmitter(why: string): Emitter {
  return () => Promise.reject(new InvalidError(`emit: ${why}`));
}

/** What a run is made of beside its algorithm. */
export interface Execution {
  readonly window: WindowMessage;
  readonly asked: ExecuteAlgorithm;
  readonly emit: Emitter;
  readonly signal: AbortSignal;
  readonly execId: string;
  /** Says whether it was given up, where the signal may come late. */
  readonly cancelled?: () => boolean;
}

/**
 * What an algorithm is given for one window.
 *
 * `run.get(speed)` reads a dependency: `.value` is its result for this window, `.past` the rows before, `.latest` the
 * newest row of another window type's. `run.own` are the algorithm's own past results.
 */
export class Run<T = unknown> {
  /** New for each call of the core. */
  readonly execId: string;
  /** Aborted when the core has given this execution up, at its deadline for instance: its result would go nowhere. */
  readonly signal: AbortSignal;
  readonly #algorithm: Algorithm<T>;
  readonly #message: WindowMessage;
  readonly #given: readonly Given[];
  readonly #own: Given;
  readonly #emit: Emitter;
  readonly #cancelled: (() => boolean) | undefined;
  #window: Window | undefined;

  /** @internal */
  constructor(algorithm: Algorithm<T>, execution: Execution) {
    this.#algorithm = algorithm;
    this.#message = execution.window;
    this.#given = arrange(algorithm.needs, execution.asked);
    this.#own = execution.asked.selfResults;
    this.#emit = execution.emit;
    this.#cancelled = execution.cancelled;
    this.signal = execution.signal;
    this.execId = execution.execId;
  }

  /** The window to process, with all its metadata. */
  get window(): Window {
    this.#window ??= windowOf(this.#message);
    return this.#window;
  }

  /** The one that runs. */
  get algorithm(): AlgorithmID {
    return this.#algorithm.id;
  }

  /** Whether the core has given this execution up. For loops that never await; others take the signal. */
  get cancelled(): boolean {
    return this.signal.aborted || this.#cancelled?.() === true;
  }

  /** Reads what was given of a dependency. */
  get<D>(need: Need<D>): Input<D> {
    const { needs } = this.#algorithm;
    if (need instanceof Dependency) {
      const place = placeOf(this.#algorithm, need);
      if (place >= 0) return this.#input(need.algorithm, place);
    } else if (need instanceof Algorithm) {
      const places = [...needs.keys()].filter((place) => needs[place]?.algorithm.id.equals(need.id));
      const [place] = places;
      if (place !== undefined) return this.#input(need, place, places.length > 1);
    }
    throw new InvalidError(`${this.#algorithm.id} reads ${need}, which its needs do not name`);
  }

  /** The algorithm's own past results that `needsSelf` asked for, newest first: none for the first window. */
  get own(): Rows<T> {
    return new Rows(this.#rows(this.#algorithm.kind, this.#own));
  }

  /**
   * Emits another window, over the processor's connection to its core.
   *
   * An algorithm may be executed more than once for its window: give a key made from the window's own data where the other
   * window must not be emitted twice. Do not wait here for the outcome of the emitted window: it may need the place that
   * this run occupies.
   */
  emit(window: Window, options: RunEmitOptions = {}): Promise<Emission> {
    return this.#emit(window, options.idempotencyKey);
  }

  #input<D>(algorithm: Algorithm<D>, place: number, ambiguous = false): Input<D> {
    const given = this.#given[place] ?? [];
    const rows = this.#rows(algorithm.kind, given);
    const current = given[0] !== undefined && sameInterval(given[0], this.#message) ? rows[0] : undefined;
    return new Input(rows, current, String(algorithm.id), ambiguous);
  }

  /** Reads rows. One without a window belongs to the current one. */
  #rows<D>(kind: Kind<D, never>, given: Given): Row<D>[] {
    const end = readTimestamp(this.#message.timeTo);
    return given.map(({ result, window }) => {
      const read = kind.read(result?.resultData);
      return new Row(windowOf(window ?? this.#message), read, result?.timestamp ?? 0n, end);
    });
  }
}

/** Says whether a row is the run's own window's. Past windows of its own type never have its interval. */
function sameInterval({ window }: AlgorithmDependencyResultRow, own: WindowMessage): boolean {
  return (
    window === undefined ||
    (window.windowTypeName === own.windowTypeName &&
      window.windowTypeVersion === own.windowTypeVersion &&
      readTimestamp(window.timeFrom) === readTimestamp(own.timeFrom) &&
      readTimestamp(window.timeTo) === readTimestamp(own.timeTo))
  );
}
