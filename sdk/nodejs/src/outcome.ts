// What became of a window: a finished run and its algorithms.

import type { Algorithm } from "./algorithm.js";
import * as wire from "./contract/console.js";
import type { Result } from "./contract/service.js";
import type { EmitStatus } from "./emission.js";
import { NoResultError, OrcaError } from "./errors.js";
import { Lookback, saturated } from "./lookback.js";
import { AlgorithmID } from "./names.js";
import { type AnyResult, readAny } from "./results.js";
import { Row } from "./rows.js";
import { dateOf, readTimestamp } from "./time.js";
import { type PlainObject, readStruct } from "./values.js";
import { windowOf } from "./window.js";

/**
 * How a run ended: every algorithm succeeded, one failed, none failed but some were skipped, or it was cancelled.
 */
export type RunState = "succeeded" | "failed" | "incomplete" | "cancelled";

/**
 * What became of one algorithm in a run.
 *
 * - handled failure: it said that it cannot give a result
 * - unhandled failure: it broke, as often as the core tries
 * - skipped: it was not run, because what it depends on has no result
 */
export type NodeState = "succeeded" | "handled failure" | "unhandled failure" | "skipped" | "cancelled";

/**
 * Whether the past results that an algorithm was given are those that it would be given now.
 *
 * - stale: windows that came late, or later runs, would change them. The result stays; a reprocess makes it anew
 * - not compared: there are too many of them for the core to compare
 */
export type Freshness = "current" | "stale" | "not compared";

/** What became of one algorithm in a run. */
export class Node {
  /** Which algorithm. */
  readonly algorithm: AlgorithmID;
  /** What became of it. */
  readonly state: NodeState;
  /** Why it failed, was skipped or was cancelled. */
  readonly reason: string;
  /** What a failed algorithm sent: "message", and "details" or "stack" from this SDK. */
  readonly error: PlainObject | undefined;
  /** How many executions were counted. */
  readonly attempts: number;
  /** When that was on disk. */
  readonly settled: Date;
  /** The position of the run in which this came about: an earlier one where a retry kept it. */
  readonly producedAt: bigint;
  /** @internal */
  readonly result: Result | undefined;

  /** @internal */
  constructor(info: wire.NodeInfo) {
    this.algorithm = idOf(info.algorithm);
    this.state = nodeStateOf(info.outcome);
    this.reason = info.reason;
    this.error = info.result?.error.length ? readStruct(info.result.error) : undefined;
    this.attempts = info.attempts;
    this.settled = dateOf(readTimestamp(info.settledAt));
    this.producedAt = info.producedAt;
    this.result = info.result;
  }

  /** The result of a success, whatever it is. `outcome.get(algorithm)` reads it with its own type. */
  get value(): AnyResult {
    return this.state === "succeeded" ? readAny(this.result?.resultData) : undefined;
  }

  /** For people: "Speed 1.0.0 of racing: 68.3". */
  toString(): string {
    if (this.state !== "succeeded") return `${this.algorithm}: ${this.state}: ${this.reason}`;
    const { value } = this;
    const text = value instanceof Float32Array ? JSON.stringify([...value]) : JSON.stringify(value);
    return `${this.algorithm}: ${text ?? "done"}`;
  }

  /** Throws NoResultError, which says why, unless it succeeded. */
  check(): void {
    if (this.state !== "succeeded") {
      throw new NoResultError(`no result of ${this.algorithm}: ${this.state}: ${this.reason}`);
    }
  }
}

/** A finished run of a window. */
export class Outcome {
  /** Whose run it is. */
  readonly windowId: string;
  /** The run's place in the order of acceptance, over all windows. */
  readonly position: bigint;
  /** 1 for the run of the emit, and one more with each retry or reprocess. */
  readonly revision: number;
  /** How it ended. */
  readonly state: RunState;
  /** When it was accepted. */
  readonly accepted: Date;
  /** When it ended. */
  readonly finished: Date;
  /** The algorithms of the run, in the order in which they settled. */
  readonly nodes: readonly Node[];

  /** @internal */
  constructor(windowId: string, run: wire.RunInfo, nodes: readonly Node[]) {
    this.windowId = windowId;
    this.position = run.position;
    this.revision = run.revision;
    this.state = runStateOf(run.state);
    this.accepted = dateOf(readTimestamp(run.acceptedAt));
    this.finished = dateOf(readTimestamp(run.finishedAt));
    this.nodes = nodes;
  }

  /** Gives an algorithm's result, or throws NoResultError saying why there is none. */
  get<T>(algorithm: Algorithm<T>): T {
    const node = this.node(algorithm);
    node.check();
    return algorithm.kind.read(node.result?.resultData);
  }

  /** Gives what became of an algorithm, or throws NoResultError when it is no part of the run. */
  node(algorithm: Algorithm<unknown>): Node {
    const found = this.nodes.find((node) => node.algorithm.equals(algorithm.id));
    if (found !== undefined) return found;
    throw new NoResultError(`no result of ${algorithm.id}: it is no part of the run of window ${this.windowId}`);
  }

  /** Throws NoResultError, which names what did not succeed, unless every algorithm did. */
  check(): this {
    if (this.state === "succeeded") return this;
    const lacking = this.nodes.filter((node) => node.state !== "succeeded");
    throw new NoResultError([`run of window ${this.windowId} ${this.state}`, ...lacking].join("\n"));
  }
}

/** The core's word that it has the next run of a window on disk. */
export interface Rerun {
  /** Whose run it is. */
  readonly windowId: string;
  /** The run's number among those of the window; `client.outcome` takes it. */
  readonly revision: number;
  /** Its place in the order of acceptance, over all windows. */
  readonly position: bigint;
  /** What a reprocess has set in motion. A retry does not say. */
  readonly status: EmitStatus | undefined;
}

/** A row that an algorithm was given in a run. */
export interface GivenRow {
  /** It was given the row. */
  readonly algorithm: AlgorithmID;
  /** The place in its needs, from 0, or -1 for its own past results. */
  readonly dependency: number;
  /** Whose result it is. */
  readonly of: AlgorithmID;
  /** How far back that looks. */
  readonly lookback: Lookback;
  /** The result with its window. */
  readonly row: Row<AnyResult>;
  /** The result of the run's own window. */
  readonly current: boolean;
  /** Of the run that the row is taken from, like its revision. */
  readonly position: bigint;
  /** Of the run that the row is taken from. */
  readonly revision: number;
  /** The position of the run in which the result came about: an earlier one where a retry kept it. */
  readonly producedAt: bigint;
}

/** Reads an identity. */
export function idOf(ref: wire.AlgorithmRef | undefined): AlgorithmID {
  return new AlgorithmID(ref?.processor ?? "", ref?.name ?? "", ref?.version ?? "");
}

function nodeStateOf(outcome: wire.Outcome): NodeState {
  switch (outcome) {
    case wire.Outcome.OUTCOME_SUCCEEDED:
      return "succeeded";
    case wire.Outcome.OUTCOME_HANDLED_FAILED:
      return "handled failure";
    case wire.Outcome.OUTCOME_UNHANDLED_FAILED:
      return "unhandled failure";
    case wire.Outcome.OUTCOME_SKIPPED:
      return "skipped";
    case wire.Outcome.OUTCOME_CANCELLED:
      return "cancelled";
    default:
      throw new OrcaError(`${outcome} is no outcome of something finished that this SDK knows`);
  }
}

function runStateOf(state: wire.RunState): RunState {
  switch (state) {
    case wire.RunState.RUN_STATE_SUCCEEDED:
      return "succeeded";
    case wire.RunState.RUN_STATE_FAILED:
      return "failed";
    case wire.RunState.RUN_STATE_INCOMPLETE:
      return "incomplete";
    case wire.RunState.RUN_STATE_CANCELLED:
      return "cancelled";
    default:
      throw new OrcaError(`${state} is no state of a finished run that this SDK knows`);
  }
}

/** Reads a freshness; undefined where it is not known. */
export function freshnessOf(freshness: wire.Freshness): Freshness | undefined {
  switch (freshness) {
    case wire.Freshness.FRESHNESS_UNSPECIFIED:
      return undefined;
    case wire.Freshness.FRESHNESS_CURRENT:
      return "current";
    case wire.Freshness.FRESHNESS_STALE:
      return "stale";
    case wire.Freshness.FRESHNESS_NOT_COMPARED:
      return "not compared";
    default:
      throw new OrcaError(`${freshness} is no freshness that this SDK knows`);
  }
}

/** Reads a row that an algorithm was given. */
export function givenOf(given: wire.Input, row: wire.InputRow): GivenRow {
  if (row.window === undefined) throw new OrcaError("the core gave a row without its window");
  return {
    algorithm: idOf(given.algorithm),
    dependency: given.dependency,
    of: idOf(given.of),
    lookback: new Lookback(
      given.lookbackNum,
      saturated(given.lookbackTimeDelta),
      given.lookbackGapNum,
      saturated(given.lookbackGapTimeDelta),
    ),
    row: new Row(windowOf(row.window, row.windowId), readAny(row.result?.resultData), row.result?.timestamp ?? 0n),
    current: row.current,
    position: row.position,
    revision: row.revision,
    producedAt: row.producedAt,
  };
}
