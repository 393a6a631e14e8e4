// Which entry of a request answers which dependency of an algorithm.

import { type Algorithm, type Dependency, dependencyMessage, nameOnly } from "./algorithm.js";
import type {
  AlgorithmDependencyResultRow,
  Algorithm as AlgorithmMessage,
  AlgorithmResult,
  ExecuteAlgorithm,
  ExecutionRequest,
} from "./contract/service.js";
import { InvalidError } from "./errors.js";
import { type Lookback, noLookback, readLookback } from "./lookback.js";
import { AlgorithmID } from "./names.js";

/** The rows of one dependency, as they came. */
export type Given = readonly AlgorithmDependencyResultRow[];

/** One entry of a request's dependencies. */
interface Offer {
  readonly id: AlgorithmID; // the processor is empty when the request does not tell
  readonly back: Lookback;
  readonly rows: Given;
}

type Match = (need: Dependency<unknown>, offer: Offer) => boolean;

const matches: readonly Match[] = [
  (need, offer) => need.algorithm.id.equals(offer.id) && need.back.equals(offer.back),
  (need, offer) => need.algorithm.id.equals(offer.id),
  ({ algorithm: { id } }, offer) =>
    offer.id.processor === "" && offer.id.name === id.name && offer.id.version === id.version,
];

/**
 * Gives to each need the rows of the entry that answers it.
 *
 * An entry does not name its processor, so two algorithms of one name are told apart by position: entries have the order
 * of the dependencies in the definition that the request carries. That one can differ from this program's, since a run
 * keeps the definition it was planned with, so needs are looked up in it rather than counted: the same algorithm with the
 * same lookback first, then the same algorithm, then the same name from a core that sent no dependencies along. A need
 * that the plan did not have fails: guessing that it has no results would give wrong ones.
 */
export function arrange(needs: readonly Dependency<unknown>[], asked: ExecuteAlgorithm): readonly Given[] {
  if (needs.length === 0) return [];
  const left = offersOf(asked);
  const chosen = new Map<Dependency<unknown>, Given>();
  for (const match of matches) {
    for (const need of needs) {
      if (chosen.has(need)) continue;
      const place = left.findIndex((offer) => match(need, offer));
      const [offer] = place < 0 ? [] : left.splice(place, 1);
      if (offer !== undefined) chosen.set(need, offer.rows);
    }
  }
  return needs.map((need) => chosen.get(need) ?? unplanned(need));
}

function unplanned(need: Dependency<unknown>): never {
  throw new InvalidError(
    `this run was planned without the dependency ${need}, which the processor's definition has;` +
      " give the algorithm a new version when its dependencies change",
  );
}

function offersOf(asked: ExecuteAlgorithm): Offer[] {
  const planned = asked.algorithm?.dependencies ?? [];
  const told = planned.length === asked.dependencies.length;
  return asked.dependencies.map((given, place) => {
    const plan = told ? planned[place] : undefined;
    if (plan !== undefined) {
      const id = new AlgorithmID(plan.processorName, plan.name, plan.version);
      return { id, back: readLookback(plan), rows: given.result };
    }
    const id = new AlgorithmID("", given.algorithm?.name ?? "", given.algorithm?.version ?? "");
    return { id, back: noLookback, rows: given.result };
  });
}

/**
 * What a request has in its deprecated fields, which is all that older cores fill: the current window's results of what
 * its algorithms need, each once, in the order in which they are first needed. They name no processor.
 */
export class DeprecatedResults {
  readonly #results: readonly AlgorithmResult[];
  readonly #order: AlgorithmID[] = [];

  constructor(request: ExecutionRequest) {
    this.#results = request.algorithmResults;
  }

  /** Takes up what one more algorithm needs: as it was planned, or as defined here if the request does not say. */
  add(planned: AlgorithmMessage, algorithm: Algorithm<unknown>): void {
    const needs = planned.dependencies.length > 0 ? planned.dependencies : algorithm.needs.map(dependencyMessage);
    for (const { processorName, name, version } of needs) {
      const id = new AlgorithmID(processorName, name, version);
      if (!this.#order.some((known) => known.equals(id))) this.#order.push(id);
    }
  }

  /** Makes the newer form: each need with the current window's result. */
  execution(planned: AlgorithmMessage, algorithm: Algorithm<unknown>): ExecuteAlgorithm {
    const dependencies = algorithm.needs.map(({ algorithm: { id } }) => {
      const found = this.#find(id);
      return {
        algorithm: nameOnly(id.name, id.version),
        result: found === undefined ? [] : [{ result: found.result, window: found.window }],
      };
    });
    const named = { ...nameOnly(planned.name, planned.version), dependencies: algorithm.needs.map(dependencyMessage) };
    return { algorithm: named, dependencies, selfResults: [] };
  }

  /**
   * Finds the result of an algorithm. Of several algorithms of one name each has its place, if all of them have a result.
   * If some have none, it cannot be told whose the others are, and a missing result is better than a wrong one.
   */
  #find(id: AlgorithmID): AlgorithmResult | undefined {
    const named = (other: { name: string; version: string } | undefined) =>
      other?.name === id.name && other.version === id.version;
    const found = this.#results.filter((result) => named(result.algorithm));
    const namesakes = this.#order.filter(named);
    if (namesakes.length > 1 && namesakes.length !== found.length) return undefined;
    return found[namesakes.findIndex((other) => other.equals(id))];
  }
}
