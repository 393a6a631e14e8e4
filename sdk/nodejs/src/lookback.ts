// How far back an algorithm looks over past results.

import type { Algorithm, AlgorithmDependency } from "./contract/service.js";
import { InvalidError } from "./errors.js";
import { quoted } from "./names.js";
import { type Duration, durationOf, durationText, maxDuration } from "./time.js";

const maxCount = 2 ** 32 - 1;

/** What a lookback leaves out nearest to the present. */
export interface GapOptions {
  /** So many of the newest results (a number), or what ends within a duration before the window ("10m"). */
  readonly gap?: number | Duration;
}

/**
 * How far back an algorithm looks over past results, and what it leaves out nearest to the present. Made by `last` and
 * `over`. At most one of `count` and `span`, and one of the gaps, is not zero.
 */
export class Lookback {
  constructor(
    /** The newest past results, so many. */
    readonly count = 0,
    /** The past windows that lie wholly within so many nanoseconds. */
    readonly span = 0n,
    /** So many of the newest are left out. */
    readonly gapCount = 0,
    /** What ends within so many nanoseconds is left out. */
    readonly gapSpan = 0n,
  ) {}

  /** For people: "last 24, gap 1". */
  toString(): string {
    const parts: string[] = [];
    if (this.count > 0) parts.push(`last ${this.count}`);
    else if (this.span > 0n) parts.push(`over ${durationText(this.span)}`);
    if (this.gapCount > 0) parts.push(`gap ${this.gapCount}`);
    else if (this.gapSpan > 0n) parts.push(`gap ${durationText(this.gapSpan)}`);
    return parts.join(", ") || "no lookback";
  }

  /** Says whether it is the same lookback. */
  equals(other: Lookback): boolean {
    return (
      this.count === other.count &&
      this.span === other.span &&
      this.gapCount === other.gapCount &&
      this.gapSpan === other.gapSpan
    );
  }

  /** It leaves out what it does not ask for. That means something over another window type only. */
  get idle(): boolean {
    return this.count === 0 && this.span === 0n && (this.gapCount > 0 || this.gapSpan > 0n);
  }
}

export const noLookback: Lookback = /* @__PURE__ */ new Lookback();

/** Looks back over the newest past results, so many. The window's own result comes on top. */
export function last(count: number, options: GapOptions = {}): Lookback {
  return lookback(countOf("lookback", count), 0n, options.gap);
}

/** Looks back over the past windows that lie wholly within a duration before the window. */
export function over(duration: Duration, options: GapOptions = {}): Lookback {
  return lookback(0, spanOf("lookback", duration), options.gap);
}

/** Looks back as without a lookback: over another window type, its newest past result, after the gap. */
export function newest(options: GapOptions = {}): Lookback {
  return lookback(0, 0n, options.gap);
}

function lookback(count: number, span: bigint, gap: number | Duration | undefined): Lookback {
  if (gap === undefined) return new Lookback(count, span);
  if (typeof gap === "number") return new Lookback(count, span, countOf("gap", gap));
  return new Lookback(count, span, 0, spanOf("gap", gap));
}

function countOf(what: string, count: unknown): number {
  if (typeof count !== "number" || !Number.isInteger(count)) {
    throw new InvalidError(`${what} ${quoted(count)}: must be a number of results (a whole number)`);
  }
  if (count < 0 || count > maxCount) {
    throw new InvalidError(`${what} of ${count} results: must be from 0 to ${maxCount}`);
  }
  return count;
}

function spanOf(what: string, duration: Duration): bigint {
  const span = durationOf(what, duration);
  if (span < 0n || span > maxDuration) {
    throw new InvalidError(`${what} ${quoted(duration)}: must not be negative nor longer than 292 years`);
  }
  return span;
}

/** Refuses a gap in nothing. */
export function checkIdle(back: Lookback, of: string): void {
  if (back.idle) {
    throw new InvalidError(
      `lookback (${back}) over ${of}: it asks for no past results, of which it could leave some out;` +
        " begin with last or over",
    );
  }
}

type OnWire = Pick<Algorithm, "lookback" | "lookbackGap">;

/** Writes a lookback for an announcement. */
export function writeLookback(back: Lookback): OnWire {
  const written: OnWire = { lookback: undefined, lookbackGap: undefined };
  if (back.count > 0) written.lookback = { $case: "lookbackNum", value: back.count };
  else if (back.span > 0n) written.lookback = { $case: "lookbackTimeDelta", value: back.span };
  if (back.gapCount > 0) written.lookbackGap = { $case: "lookbackGapNum", value: back.gapCount };
  else if (back.gapSpan > 0n) written.lookbackGap = { $case: "lookbackGapTimeDelta", value: back.gapSpan };
  return written;
}

/** Reads a lookback. Durations beyond what a signed 64-bit number holds saturate. */
export function readLookback(message: Algorithm | AlgorithmDependency): Lookback {
  const { lookback: back, lookbackGap: gap } = message;
  return new Lookback(
    back?.$case === "lookbackNum" ? back.value : 0,
    back?.$case === "lookbackTimeDelta" ? saturated(back.value) : 0n,
    gap?.$case === "lookbackGapNum" ? gap.value : 0,
    gap?.$case === "lookbackGapTimeDelta" ? saturated(gap.value) : 0n,
  );
}

/** Cuts a duration to what a signed 64-bit number holds. */
export function saturated(span: bigint): bigint {
  return span < maxDuration ? span : maxDuration;
}
