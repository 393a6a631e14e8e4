// The rules of lookbacks, as plainly as they can be written.

import type { AlgorithmDependencyResultRow } from "../contract/service.js";
import type { Lookback } from "../lookback.js";
import type { Plain, PlainObject } from "../values.js";

/** An interval of time, in nanoseconds. */
export interface Interval {
  readonly timeFrom: bigint;
  readonly timeTo: bigint;
}

/** One result of a run that was accepted earlier. */
export interface Past extends Interval {
  readonly position: bigint;
  /** As the algorithms of its run saw it. */
  readonly metadata: PlainObject;
  readonly row: AlgorithmDependencyResultRow;
}

/** The succeeded results of one algorithm, by (to, from, position) ascending. */
export class History {
  readonly #results: Past[] = [];

  /** Keeps the order, also for late windows. */
  add(past: Past): void {
    this.#results.splice(
      this.#endOf((other) => order(other, past) <= 0),
      0,
      past,
    );
  }

  /** All results, the newest window first. */
  newestFirst(): Past[] {
    return [...this.#results].reverse();
  }

  /**
   * The past of a window, newest first. Of its own type, it is what lies before it by (to, from), so that windows of one
   * interval are not each other's past; of another type, what has ended when it ends.
   */
  *before(window: Interval, ownType: boolean): Generator<Past> {
    const end = this.#endOf((past) =>
      ownType ? order(past, { ...window, position: 0n }) < 0 : past.timeTo <= window.timeTo,
    );
    for (let at = end - 1; at >= 0; at--) yield this.#results[at] as Past;
  }

  /** Gives the number of results at the beginning for which something holds, by halving. */
  #endOf(holds: (past: Past) => boolean): number {
    let [low, high] = [0, this.#results.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(this.#results[middle] as Past)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

type Key = Pick<Past, "timeTo" | "timeFrom" | "position">;

/** Compares by (to, from, position). */
function order(a: Key, b: Key): number {
  for (const part of ["timeTo", "timeFrom", "position"] as const) {
    if (a[part] !== b[part]) return a[part] < b[part] ? -1 : 1;
  }
  return 0;
}

/** What one algorithm sees of another's past. */
export interface View {
  readonly history: History;
  readonly back: Lookback;
  /** Both have the same window type. */
  readonly ownType: boolean;
  /** The metadata fields whose values must be equal. */
  readonly same: readonly string[];
}

/** Gives the past rows for a window, newest first. */
export function pastOf(view: View, window: Interval & { readonly metadata: PlainObject }): Past[] {
  const { back, ownType } = view;
  const none = back.count === 0 && back.span === 0n;
  if (none && ownType) return [];
  const range = rangeOf(view, window);
  let left = none ? 1 : back.count || Number.POSITIVE_INFINITY; // of another type, the newest past one after the gap
  let skip = back.gapCount;
  const rows: Past[] = [];
  for (const past of view.history.before(window, ownType)) {
    if (left === 0 || past.timeTo < range.earliest) break;
    if (!within(past, range) || !matches(view, window.metadata, past.metadata)) continue;
    if (skip-- > 0) continue;
    rows.push(past);
    left--;
  }
  return rows;
}

/** Where a past window has to lie as a whole. */
interface Range {
  readonly earliest: bigint;
  readonly latest: bigint;
}

const always = 1n << 64n;

function rangeOf({ back, ownType }: View, window: Interval): Range {
  const latest = (ownType ? window.timeFrom : window.timeTo) - back.gapSpan;
  return {
    earliest: back.span > 0n ? latest - back.span : -always,
    latest: back.span > 0n || back.gapSpan > 0n ? latest : always,
  };
}

function within(past: Past, { earliest, latest }: Range): boolean {
  return past.timeFrom >= earliest && past.timeTo <= latest;
}

function matches({ same }: View, mine: PlainObject, theirs: PlainObject): boolean {
  return same.every((name) => equal(mine[name] ?? null, theirs[name] ?? null));
}

/** Compares metadata: the same kind and the same value, −0 equal to 0, NaN to NaN, lists and objects deeply. */
export function equal(a: Plain, b: Plain): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [mine, theirs] = [Object.entries(a), new Map<string, Plain>(Object.entries(b))];
  return (
    mine.length === theirs.size &&
    mine.every(([name, value]) => theirs.has(name) && equal(value as Plain, theirs.get(name) as Plain))
  );
}
