// The errors of the SDK: what went wrong as a class, the rest in words.

/** A call to a core that was given up. */
export interface FailedCall {
  /** What was being done, such as "emit window Lap 1.0.0". */
  readonly op: string;
  /** The address that was called. */
  readonly core: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** The gRPC status code of the last answer, such as "NOT_FOUND". */
  readonly code: string;
}

/** The base of every error that this package throws. */
export class OrcaError extends Error {
  override name = "OrcaError";
  /** The call that was given up, where it is one. */
  readonly call: FailedCall | undefined;

  constructor(message: string, call?: FailedCall) {
    super(message);
    this.call = call;
  }
}

/** A name, version, window, lookback, result or setting breaks a rule. */
export class InvalidError extends OrcaError {
  override name = "InvalidError";
}

/** The core does not know this window, window type or algorithm. */
export class NotFoundError extends OrcaError {
  override name = "NotFoundError";
}

/** It contradicts what the core has: a changed definition under an old version, a key used for another window. */
export class ConflictError extends OrcaError {
  override name = "ConflictError";
}

/** The core wants a token, or another one. */
export class UnauthorizedError extends OrcaError {
  override name = "UnauthorizedError";
}

/** The core could not be reached, or did not take the call, for as long as was asked for. */
export class UnavailableError extends OrcaError {
  override name = "UnavailableError";
}

/** The algorithm has no result here: it did not succeed, is no part of the run, or was given no row. */
export class NoResultError extends OrcaError {
  override name = "NoResultError";
}

/** What was waited for did not happen in the time that was given. */
export class TimeoutError extends OrcaError {
  override name = "TimeoutError";
}

const failureMark = Symbol.for("@orca-telemetry/sdk/Failure");

/**
 * Thrown by an algorithm that cannot give a result for this window: a handled failure.
 *
 * The core stores it with its details, does not try again, and skips what depends on it. Anything else that is thrown is
 * an unhandled failure, which the core retries.
 */
export class Failure extends Error {
  override name = "Failure";
  /** What is stored beside the reason: plain values, as in a struct result. */
  readonly details: Readonly<Record<string, unknown>>;
  readonly [failureMark] = true;

  constructor(reason: string, details: Readonly<Record<string, unknown>> = {}) {
    super(reason);
    this.details = details;
  }
}

/** Says whether it is a Failure, also one of the package's other form (ESM or CJS) in the same program. */
export function isFailure(error: unknown): error is Failure {
  return typeof error === "object" && error !== null && failureMark in error;
}

type Kind = new (message: string, call?: FailedCall) => OrcaError;

const kinds = new Map<string, Kind>([
  ["INVALID_ARGUMENT", InvalidError],
  ["OUT_OF_RANGE", InvalidError],
  ["NOT_FOUND", NotFoundError],
  ["ALREADY_EXISTS", ConflictError],
  ["FAILED_PRECONDITION", ConflictError],
  ["UNAUTHENTICATED", UnauthorizedError],
  ["PERMISSION_DENIED", UnauthorizedError],
  ["UNAVAILABLE", UnavailableError],
  ["RESOURCE_EXHAUSTED", UnavailableError],
  ["DEADLINE_EXCEEDED", UnavailableError],
]);

/** Makes the error of a call that is given up. */
export function callError(call: FailedCall, words: string): OrcaError {
  const kind = kinds.get(call.code) ?? OrcaError;
  let text = `${call.op} at ${call.core}: ${words}`;
  if (call.attempts > 1) text += ` (after ${call.attempts} attempts)`;
  if (kind === UnavailableError) text += "; is a core running there?";
  if (kind === UnauthorizedError) text += "; a TypeScript program gives the core's token with token: or ORCA_TOKEN";
  return new kind(text, call);
}

/** Makes the error of a class that has this name, which came from another thread. */
export function errorOf(name: string, message: string): OrcaError {
  const kind = [...kinds.values()].find((known) => new known("").name === name) ?? OrcaError;
  return new kind(message);
}

/** Gives the words of whatever was thrown. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
