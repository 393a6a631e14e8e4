// Running one algorithm on inputs that a test makes up.

import { Algorithm, algorithmMessage, Dependency, type Need, nameOnly, placeOf } from "../algorithm.js";
import { type AlgorithmDependencyResultRow, type ExecuteAlgorithm, ResultStatus } from "../contract/service.js";
import type { Emission } from "../emission.js";
import { InvalidError } from "../errors.js";
import { execute } from "../execute.js";
import { encode, type Kind } from "../results.js";
import type { Row } from "../rows.js";
import { noEmitter } from "../run.js";
import type { Window } from "../window.js";

/** What an algorithm is given of one dependency. Made by `given`. */
export interface GivenInput {
  readonly need: Need;
  readonly rows: InputRows<unknown>;
}

interface InputRows<T> {
  /** The result for the window of the call. Without it there is none. */
  readonly current?: T;
  /** Past rows, newest first: `new Row(window, 20)`. */
  readonly past?: readonly Row<T>[];
}

/** Gives a dependency its rows: `given(celsius, { current: 22 })`. An algorithm stands for all needs of it. */
export function given<T>(need: Need<T>, rows: InputRows<T>): GivenInput {
  return { need, rows };
}

/** What a call is given beside its algorithm and window. */
export interface CallOptions<T> {
  /** What was given of the dependencies. One that is not there has no results. */
  readonly inputs?: readonly GivenInput[];
  /** The algorithm's own past rows, newest first. */
  readonly own?: readonly Row<T>[];
  /** Stands in for the core when the algorithm emits. */
  readonly emit?: (window: Window, idempotencyKey: string | undefined) => Emission | Promise<Emission>;
  /** What `run.signal` is. */
  readonly signal?: AbortSignal;
}

/**
 * Runs an algorithm once, without a core or a network.
 *
 *     assert.equal(await call(kelvin, noon, { inputs: [given(celsius, { current: 22 })] }), 295.15);
 *
 * It is the way that a request takes through a processor, so results go through their wire form. What the algorithm throws,
 * it rejects with.
 */
export async function call<T>(algorithm: Algorithm<T>, window: Window, options: CallOptions<T> = {}): Promise<T> {
  if (algorithm.run === undefined) throw new InvalidError(`call ${algorithm.id}: it runs in another processor`);
  const { emit, signal = new AbortController().signal } = options;
  const { result, thrown } = await execute(algorithm, {
    window: window.message,
    asked: requestOf(algorithm, options),
    emit:
      emit === undefined
        ? noEmitter("this run has no core; pass emit: to call")
        : async (emitted, key) => await emit(emitted, key),
    signal,
    execId: "test",
  });
  if (result.status !== ResultStatus.RESULT_STATUS_SUCEEDED) throw thrown;
  return algorithm.kind.read(result.resultData);
}

/** Makes the request that a core would send. */
function requestOf<T>(algorithm: Algorithm<T>, { inputs = [], own = [] }: CallOptions<T>): ExecuteAlgorithm {
  const results = algorithm.needs.map((): AlgorithmDependencyResultRow[] => []);
  const exactLast = [...inputs].sort(
    (a, b) => Number(a.need instanceof Dependency) - Number(b.need instanceof Dependency),
  );
  for (const { need, rows } of exactLast) {
    for (const place of placesOf(algorithm, need)) {
      const kind = algorithm.needs[place]?.algorithm.kind;
      if (kind !== undefined) results[place] = messages(kind, rows);
    }
  }
  return {
    algorithm: algorithmMessage(algorithm),
    dependencies: algorithm.needs.map(({ algorithm: { id } }, place) => ({
      algorithm: nameOnly(id.name, id.version),
      result: results[place] ?? [],
    })),
    selfResults: messages(algorithm.kind, { past: own }),
  };
}

/** Finds where an input belongs. An algorithm's belongs to all dependencies on it. */
function placesOf(algorithm: Algorithm<unknown>, need: Need): number[] {
  const places =
    need instanceof Algorithm
      ? [...algorithm.needs.keys()].filter((place) => algorithm.needs[place]?.algorithm.id.equals(need.id))
      : [placeOf(algorithm, need)].filter((place) => place >= 0);
  if (places.length > 0) return places;
  throw new InvalidError(`input: ${need} is given, which the needs of ${algorithm.id} do not name`);
}

function messages(kind: Kind<unknown, never>, rows: InputRows<unknown>): AlgorithmDependencyResultRow[] {
  const given = (value: unknown) => encode(kind, value as never);
  const current = "current" in rows ? [{ result: given(rows.current), window: undefined }] : [];
  const past = (rows.past ?? []).map(({ window, value, computed }) => ({
    result: { ...given(value), timestamp: BigInt(Math.floor(computed.getTime() / 1000)) },
    window: window.message,
  }));
  return [...current, ...past];
}
