// A core in memory, on virtual time.

import { type Algorithm, algorithmMessage, nameOnly } from "../algorithm.js";
import { type NodeInfo, Outcome as NodeOutcome, RunKind, RunState } from "../contract/console.js";
import { type ExecuteAlgorithm, type Result, ResultStatus, type Window as WindowMessage } from "../contract/service.js";
import type { Emission } from "../emission.js";
import { ConflictError, InvalidError, NotFoundError } from "../errors.js";
import { execute, failureOf } from "../execute.js";
import { checkIdle, type Lookback } from "../lookback.js";
import type { AlgorithmID } from "../names.js";
import { Node, Outcome } from "../outcome.js";
import type { Processor } from "../processor.js";
import { Row, Rows } from "../rows.js";
import { second, timestampOf } from "../time.js";
import { type PlainObject, writeStruct } from "../values.js";
import { sameFields, type Window, type WindowType, windowOf } from "../window.js";
import { equal, History, pastOf, type View } from "./lookback.js";

/** One algorithm of a core, with its past results. */
interface Known {
  readonly algorithm: Algorithm<unknown>;
  readonly on: WindowType;
  readonly needs: { readonly of: Known; readonly view: View }[];
  readonly history: History;
  own: View | undefined;
}

/** The processing of one accepted window. */
interface Accepted {
  readonly id: string;
  readonly position: bigint;
  readonly window: Window;
  /** As it comes over the wire. */
  readonly metadata: PlainObject;
  /** As every row shows it: without noStore fields. */
  readonly stored: WindowMessage;
  outcome: Outcome | undefined;
}

/**
 * A core in memory.
 *
 * The order in which windows are emitted is the order in which they are accepted: an algorithm sees nothing of what is
 * emitted later, whatever its time. A failed algorithm is not tried again, and nothing is retried, reprocessed or cancelled.
 *
 * All that the processors' algorithms need must be among them: for another team's algorithm, give a processor of that name
 * with a stand-in.
 */
export class Core {
  readonly #types = new Map<string, WindowType>(); // by name and version
  readonly #known = new Map<string, Known>(); // by identity
  readonly #order: readonly Known[]; // each comes after those that it needs
  readonly #accepted: Accepted[] = []; // in the order of acceptance: position 1 is the first
  readonly #keys = new Map<string, Accepted>(); // by the idempotency keys that algorithms emit with
  #finished = 0; // how many of the accepted have an outcome
  #working: Promise<void> = Promise.resolve();

  constructor(...processors: readonly Processor[]) {
    const names = processors.map(({ name }) => name);
    const twice = names.find((name, place) => names.indexOf(name) !== place);
    if (twice !== undefined) throw new InvalidError(`processor ${twice}: it is given twice`);
    for (const { algorithms } of processors) for (const algorithm of algorithms) this.#announce(algorithm);
    for (const known of this.#known.values()) this.#connect(known);
    this.#order = sorted([...this.#known.values()]);
  }

  #announce(algorithm: Algorithm<unknown>): void {
    const { id, on } = algorithm;
    if (on === undefined) throw new InvalidError(`${id} has no window type`);
    const declared = this.#types.get(String(on)) ?? on;
    if (!sameFields(declared, on)) {
      throw new InvalidError(`${id}: another algorithm declares other fields for window type ${on}`);
    }
    this.#types.set(String(on), declared);
    this.#known.set(String(id), { algorithm, on, needs: [], history: new History(), own: undefined });
  }

  #connect(known: Known): void {
    known.own = viewOf(known, known, known.algorithm.needsSelf);
    for (const { algorithm, back } of known.algorithm.needs) {
      const of = this.#known.get(String(algorithm.id));
      if (of === undefined) {
        throw new InvalidError(
          `processors: ${known.algorithm.id} needs ${algorithm.id}, which none of them has;` +
            ` give a processor ${algorithm.id.processor} with a stand-in`,
        );
      }
      if (of.on.equals(known.on)) checkIdle(back, String(algorithm.id));
      known.needs.push({ of, view: viewOf(known, of, back) });
    }
  }

  /**
   * Accepts a window and runs what it triggers, together with the windows that its algorithms emit.
   *
   * Algorithms that fail are in the outcome, and reject nothing. What a core would refuse is an InvalidError or a
   * NotFoundError.
   */
  async emit(window: Window): Promise<Outcome> {
    const { id } = this.#accept(window, undefined);
    this.#working = this.#working.then(() => this.#finishAll());
    await this.#working;
    return this.outcome(id);
  }

  /** Gives what became of a window that an algorithm emitted. */
  outcome(window: Emission | string): Outcome {
    const id = typeof window === "string" ? window : window.windowId;
    const found = this.#accepted.find((accepted) => accepted.id === id)?.outcome;
    if (found === undefined) throw new NotFoundError(`window ${JSON.stringify(id)} has no finished run`);
    return found;
  }

  /** Gives all results of an algorithm, the newest window first. */
  results<T>(algorithm: Algorithm<T>): Rows<T> {
    const known = this.#known.get(String(algorithm.id));
    if (known === undefined) throw new NotFoundError(`no processor of this core has ${algorithm.id}`);
    const rows = known.history.newestFirst().map(({ row: { result, window }, position }) => {
      const read = algorithm.kind.read(result?.resultData);
      return new Row(windowOf(window as WindowMessage, idAt(position)), read, result?.timestamp ?? 0n);
    });
    return new Rows(rows);
  }

  /** All windows in the order of acceptance, those that algorithms emitted too. */
  get accepted(): readonly Window[] {
    return this.#accepted.map(({ window }) => window);
  }

  /** Gives a window its position. The same key with the same window gives the first one again. */
  #accept(window: Window, key: string | undefined): Accepted {
    const op = `emit window ${window.type}`;
    const declared = this.#types.get(String(window.type));
    if (declared === undefined) throw new NotFoundError(`${op}: no algorithm announces window type ${window.type}`);
    const { metadata, message } = window;
    const missing = declared.fields.filter(({ name }) => !Object.hasOwn(metadata, name)).map(({ name }) => name);
    if (missing.length > 0) {
      throw new InvalidError(`${op}: its type declares ${missing.sort().join(", ")}, which this window lacks`);
    }
    const first = key === undefined ? undefined : this.#keys.get(key);
    if (first !== undefined) {
      if (sameWindow(first.window, window)) return first;
      throw new ConflictError(`${op}: the key ${JSON.stringify(key)} belongs to another window`);
    }
    const kept = Object.entries(metadata).filter(
      ([name]) => !declared.fields.some((f) => f.noStore && f.name === name),
    );
    const position = BigInt(this.#accepted.length + 1);
    const stored = { ...message, metadata: writeStruct(Object.fromEntries(kept)) };
    const accepted: Accepted = { id: idAt(position), position, window, metadata, stored, outcome: undefined };
    if (key !== undefined) this.#keys.set(key, accepted);
    this.#accepted.push(accepted);
    return accepted;
  }

  async #finishAll(): Promise<void> {
    for (;;) {
      const next = this.#accepted[this.#finished];
      if (next === undefined) return;
      await this.#finish(next);
      this.#finished++;
    }
  }

  /** Runs the nodes of a window's run and settles them all at once. */
  async #finish(run: Accepted): Promise<void> {
    const infos = new Map<string, NodeInfo>(); // by identity
    for (const known of this.#order) {
      if (known.on.equals(run.window.type))
        infos.set(String(known.algorithm.id), await this.#settle(run, known, infos));
    }
    const good = [...infos.values()].every(({ outcome }) => outcome === NodeOutcome.OUTCOME_SUCCEEDED);
    const end = timestampOf(run.window.timeTo);
    const info = {
      position: run.position,
      revision: 1,
      kind: RunKind.RUN_KIND_EMIT,
      state: good ? RunState.RUN_STATE_SUCCEEDED : RunState.RUN_STATE_FAILED,
      acceptedAt: end,
      finishedAt: end,
      nodes: infos.size,
      settled: infos.size,
    };
    run.outcome = new Outcome(
      run.id,
      info,
      [...infos.values()].map((node) => new Node(node)),
    );
    const { timeFrom, timeTo } = run.window;
    const { position, metadata, stored } = run;
    for (const [id, { outcome, result }] of infos) {
      if (outcome !== NodeOutcome.OUTCOME_SUCCEEDED) continue;
      this.#known.get(id)?.history.add({ timeFrom, timeTo, position, metadata, row: { result, window: stored } });
    }
  }

  /** Gives one node of a run its outcome. */
  async #settle(run: Accepted, known: Known, infos: ReadonlyMap<string, NodeInfo>): Promise<NodeInfo> {
    const { id } = known.algorithm;
    for (const { of } of known.needs) {
      const before = infos.get(String(of.algorithm.id));
      if (before !== undefined && before.outcome !== NodeOutcome.OUTCOME_SUCCEEDED) {
        return nodeInfo(run, id, NodeOutcome.OUTCOME_SKIPPED, lacking(id, of.algorithm.id, before.outcome), undefined);
      }
    }
    const { result } = await execute(known.algorithm, {
      window: run.window.message,
      asked: this.#request(run, known, infos),
      emit: async (window, key) => this.#emitted(window, key),
      signal: new AbortController().signal,
      execId: `test-${run.position}`,
    });
    const timestamp = run.window.timeTo / second; // virtual time: as soon as the window is over
    const outcome = outcomeOf(result);
    const reason = outcome === NodeOutcome.OUTCOME_SUCCEEDED ? "" : failureOf(result).message;
    return nodeInfo(run, id, outcome, reason, { ...result, timestamp });
  }

  /** Accepts a window that an algorithm emits. It runs after the window that is being run. */
  #emitted(window: Window, key: string | undefined): Emission {
    return { windowId: this.#accept(window, key).id, status: "processing triggered" };
  }

  #request(run: Accepted, known: Known, infos: ReadonlyMap<string, NodeInfo>): ExecuteAlgorithm {
    const window = { timeFrom: run.window.timeFrom, timeTo: run.window.timeTo, metadata: run.metadata };
    return {
      algorithm: algorithmMessage(known.algorithm),
      dependencies: known.needs.map(({ of, view }) => {
        const { id } = of.algorithm;
        const current = infos.get(String(id));
        const own = current === undefined ? [] : [{ result: current.result, window: run.stored }];
        return {
          algorithm: nameOnly(id.name, id.version),
          result: [...own, ...pastOf(view, window).map(({ row }) => row)],
        };
      }),
      selfResults: known.own === undefined ? [] : pastOf(known.own, window).map(({ row }) => row),
    };
  }
}

function idAt(position: bigint): string {
  return `w-${position}`;
}

function sameWindow(a: Window, b: Window): boolean {
  return (
    a.type.equals(b.type) &&
    a.timeFrom === b.timeFrom &&
    a.timeTo === b.timeTo &&
    a.origin === b.origin &&
    equal(a.metadata, b.metadata)
  );
}

/** Says what one algorithm sees of another's past: a window matches when it has equal values in every common filter. */
function viewOf(by: Known, of: Known, back: Lookback): View {
  const filters = new Set(of.on.fields.filter(({ filter }) => filter).map(({ name }) => name));
  const same = by.on.fields.filter(({ filter, name }) => filter && filters.has(name)).map(({ name }) => name);
  return { history: of.history, back, ownType: by.on.equals(of.on), same };
}

/** Puts algorithms into an order in which each comes after those that it needs. */
function sorted(algorithms: readonly Known[]): readonly Known[] {
  const done = new Set<Known>();
  const path: Known[] = [];
  const visit = (known: Known) => {
    if (done.has(known)) return;
    const begin = path.indexOf(known);
    if (begin >= 0) {
      const names = [...path.slice(begin), known].map(({ algorithm: { id } }) => `${id.name} ${id.version}`);
      throw new InvalidError(`dependencies: ${names.join(" → ")} is a cycle`);
    }
    path.push(known);
    for (const { of } of known.needs) visit(of);
    path.pop();
    done.add(known);
  };
  for (const known of algorithms) visit(known);
  return [...done];
}

function outcomeOf({ status }: Result): NodeOutcome {
  switch (status) {
    case ResultStatus.RESULT_STATUS_SUCEEDED:
      return NodeOutcome.OUTCOME_SUCCEEDED;
    case ResultStatus.RESULT_STATUS_HANDLED_FAILED:
      return NodeOutcome.OUTCOME_HANDLED_FAILED;
    default:
      return NodeOutcome.OUTCOME_UNHANDLED_FAILED;
  }
}

function nodeInfo(
  run: Accepted,
  { processor, name, version }: AlgorithmID,
  outcome: NodeOutcome,
  reason: string,
  result: Result | undefined,
): NodeInfo {
  return {
    algorithm: { processor, name, version },
    outcome,
    reason,
    result,
    attempts: result === undefined ? 0 : 1,
    settledAt: timestampOf(run.window.timeTo),
    dependsOn: [],
    producedAt: run.position,
    freshness: 0,
  };
}

/** Says in a core's words why a node is skipped: what it needs, and what became of that. */
function lacking(id: AlgorithmID, needed: AlgorithmID, outcome: NodeOutcome): string {
  const of = needed.processor === id.processor ? "" : ` of processor "${needed.processor}"`;
  const how = new Map([
    [NodeOutcome.OUTCOME_HANDLED_FAILED, "failed (handled)"],
    [NodeOutcome.OUTCOME_UNHANDLED_FAILED, "failed (unhandled)"],
  ]).get(outcome);
  return `needs ${needed.name} ${needed.version}${of}, which ${how ?? "was skipped"}`;
}
