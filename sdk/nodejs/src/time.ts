// Times are whole nanoseconds since the epoch, durations whole nanoseconds, both as bigint. Nothing here goes through a float.

import type { Timestamp } from "./contract/google/protobuf/timestamp.js";
import { InvalidError } from "./errors.js";
import { quoted } from "./names.js";

/**
 * A time: nanoseconds since the epoch as a bigint, or a Date. A Temporal.Instant keeps its nanoseconds.
 *
 * A number is refused: it could be seconds, milliseconds, or nanoseconds that are already rounded.
 */
export type Time = bigint | Date | { readonly epochNanoseconds: bigint };

/** A duration: text such as "90s", "1h30m", "250ms" or "1ns", or nanoseconds as a bigint. */
export type Duration = string | bigint;

/** How long to wait: text such as "30s", or milliseconds as a number, as usual in JavaScript. */
export type Timeout = string | number;

export const second = 1_000_000_000n;
/** 2262-04-11, after which nanoseconds leave the 64 bits. */
export const lastTime = BigInt(Date.UTC(2262, 3, 11)) * 1_000_000n;
export const maxDuration = (1n << 63n) - 1n;

const units = new Map<string, bigint>([
  ["d", 86_400n * second],
  ["h", 3600n * second],
  ["m", 60n * second],
  ["s", second],
  ["ms", 1_000_000n],
  ["us", 1000n],
  ["µs", 1000n],
  ["ns", 1n],
]);
const part = /([0-9]+)(?:\.([0-9]+))?(ns|us|µs|ms|s|m|h|d)/y;

/** Gives nanoseconds since the epoch. */
export function nanosecondsOf(what: string, time: unknown): bigint {
  if (typeof time === "bigint") return time;
  if (time instanceof Date) {
    const milliseconds = time.getTime();
    if (Number.isNaN(milliseconds)) throw new InvalidError(`${what} time: the Date is invalid`);
    return BigInt(milliseconds) * 1_000_000n;
  }
  if (typeof time === "object" && time !== null && "epochNanoseconds" in time) {
    if (typeof time.epochNanoseconds === "bigint") return time.epochNanoseconds;
  }
  throw new InvalidError(`${what} time ${quoted(time)}: must be nanoseconds since the epoch (a bigint) or a Date`);
}

/** Gives a Date, cut to milliseconds. */
export function dateOf(nanoseconds: bigint): Date {
  return new Date(Number(floorDivide(nanoseconds, 1_000_000n)));
}

function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b < 0n ? quotient - 1n : quotient;
}

/** Writes a time for people, to the nanosecond. */
export function timeText(nanoseconds: bigint): string {
  const seconds = floorDivide(nanoseconds, second);
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return `${nanoseconds} ns`;
  const fraction = (nanoseconds - seconds * second).toString().padStart(9, "0").replace(/0+$/, "");
  return `${date.toISOString().slice(0, -5)}${fraction === "" ? "" : `.${fraction}`}Z`;
}

/** Reads a duration as nanoseconds, exactly. */
export function durationOf(what: string, duration: unknown): bigint {
  if (typeof duration === "bigint") return duration;
  if (typeof duration !== "string") {
    throw new InvalidError(
      `${what} ${quoted(duration)}: must be text such as "90s", "1h30m" or "250ms", or nanoseconds as a bigint`,
    );
  }
  const total = parse(duration);
  if (total === undefined) {
    throw new InvalidError(
      `${what} ${quoted(duration)}: must be whole nanoseconds written with the units ns, us, ms, s, m, h and d,` +
        ` such as "90s" or "1h30m"`,
    );
  }
  return total;
}

function parse(text: string): bigint | undefined {
  let total = 0n;
  part.lastIndex = 0;
  let at = 0;
  for (let found = part.exec(text); found !== null; found = part.exec(text)) {
    const [, whole = "", fraction = "", unit = ""] = found;
    const scale = 10n ** BigInt(fraction.length);
    const size = BigInt(whole + fraction) * (units.get(unit) ?? 0n);
    if (size % scale !== 0n) return undefined;
    total += size / scale;
    at = part.lastIndex;
  }
  return at === text.length && at > 0 ? total : undefined;
}

/** Writes a duration for people and for `durationOf`: "1h30m". */
export function durationText(nanoseconds: bigint): string {
  let text = "";
  let rest = nanoseconds;
  for (const [unit, size] of units) {
    if (unit === "µs" || rest < size) continue;
    text += `${rest / size}${unit}`;
    rest %= size;
  }
  return text || "0s";
}

/** Reads a timeout as milliseconds. */
export function millisecondsOf(what: string, timeout: unknown): number {
  if (typeof timeout === "string") return Number(durationOf(what, timeout)) / 1e6;
  if (typeof timeout === "number" && timeout >= 0) return timeout;
  throw new InvalidError(`${what} ${quoted(timeout)}: must be milliseconds (a number) or text such as "30s"`);
}

/** Writes a time for the wire. */
export function timestampOf(nanoseconds: bigint): Timestamp {
  const seconds = floorDivide(nanoseconds, second);
  return { seconds, nanos: Number(nanoseconds - seconds * second) };
}

/** Reads a time from the wire. */
export function readTimestamp(time: Timestamp | undefined): bigint {
  return time === undefined ? 0n : time.seconds * second + BigInt(time.nanos);
}
