// Runs an algorithm once. There is always a result to send, whatever the algorithm does.

import type { Algorithm } from "./algorithm.js";
import { type Result, ResultStatus } from "./contract/service.js";
import { InvalidError, isFailure, wordsOf } from "./errors.js";
import { encode } from "./results.js";
import { type Execution, Run } from "./run.js";
import { readStruct, writeStruct } from "./values.js";

const maxText = 64 << 10; // of a failure's message or stack, in characters
const maxDetails = 4 << 20; // bytes

/** What is sent, and what was thrown where it stands for a failure. */
export interface Executed {
  readonly result: Result;
  readonly thrown?: unknown;
}

/** Runs an algorithm. It never rejects. */
export async function execute(algorithm: Algorithm<unknown>, execution: Execution): Promise<Executed> {
  try {
    if (algorithm.run === undefined) throw new InvalidError(`${algorithm.id} runs in another processor`);
    const run = new Run<unknown>(algorithm, execution) as Run<never>;
    const returned = await algorithm.run(run);
    return { result: encode(algorithm.kind, returned as never) };
  } catch (error) {
    return { result: failed(error), thrown: error };
  }
}

/**
 * Makes the result that stands for what was thrown. Its error has the field "message", and "details" for a `Failure` that
 * has some, or "stack" for anything else.
 */
export function failed(error: unknown): Result {
  const handled = isFailure(error);
  return {
    status: handled ? ResultStatus.RESULT_STATUS_HANDLED_FAILED : ResultStatus.RESULT_STATUS_UNHANDLED_FAILED,
    resultData: undefined,
    timestamp: BigInt(Math.floor(Date.now() / 1000)),
    error: handled
      ? handledFields(error.message, error.details)
      : writeStruct({ message: cut(message(error)), stack: cut(stack(error)) }),
  };
}

function message(error: unknown): string {
  try {
    if (!(error instanceof Error)) return `${String(error)} was thrown`;
    const words = wordsOf(error);
    if (error instanceof InvalidError) return words;
    return words === "" ? error.name : `${error.name}: ${words}`;
  } catch {
    return "an error whose text cannot be had"; // a user's class whose message or toString throws
  }
}

function stack(error: unknown): string {
  try {
    const causes: string[] = [];
    for (let at = error; at instanceof Error && causes.length < 10; at = at.cause) causes.push(at.stack ?? String(at));
    return causes.join("\ncaused by ");
  } catch {
    return ""; // as above
  }
}

function cut(text: string): string {
  return (text.length > maxText ? `${text.slice(0, maxText)}…` : text).toWellFormed();
}

function handledFields(reason: string, details: Readonly<Record<string, unknown>>): Uint8Array {
  const message = cut(reason);
  if (Object.keys(details).length === 0) return writeStruct({ message });
  let size: number;
  try {
    size = writeStruct(details).length;
  } catch (error) {
    return writeStruct({ message, details: cut(`these details cannot be sent: ${wordsOf(error)}`) });
  }
  if (size > maxDetails) {
    return writeStruct({
      message,
      details: `these details are left out: ${size} bytes, at most ${maxDetails} are sent`,
    });
  }
  return writeStruct({ message, details });
}

/** Gives the message of a failed result, and its stack where it has one. */
export function failureOf(result: Result): { readonly message: string; readonly stack: string } {
  const { message, stack } = readStruct(result.error);
  return { message: typeof message === "string" ? message : "", stack: typeof stack === "string" ? stack : "" };
}
