// When to try again, and waiting until then.

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";

/** The codes of calls that may succeed a little later. */
export const transient: readonly string[] = ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"];

/** A series of growing pauses, in milliseconds. */
export class Pauses {
  constructor(
    readonly shortest: number,
    readonly longest: number,
  ) {}

  /**
   * Gives the pause after so many failures in a row. It doubles each time up to the longest, and jitter from [0, 1) places
   * it between half and all of that.
   */
  pause(failures: number, jitter: number): number {
    const full = Math.min(this.longest, this.shortest * 2 ** (failures - 1));
    return full / 2 + (jitter * full) / 2;
  }

  /** Gives what the server asks for in a RetryInfo, or the next pause of the series. */
  after(failures: number, error: unknown): number {
    const pause = this.pause(failures, Math.random());
    const asked = askedDelay(error);
    return asked === undefined ? pause : asked + Math.random() * pause;
  }
}

/** Says whether it is the status of a failed call. */
export function isStatus(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && typeof error.code === "number";
}

/** Makes the status that stands for a stream which ended too early, and without one. */
export function brokenStream(details: string): ServiceError {
  return Object.assign(new Error(details), { code: status.UNAVAILABLE, details, metadata: new Metadata() });
}

/** Gives the name of a failed call's status code, such as "NOT_FOUND". */
export function codeOf(error: unknown): string {
  return isStatus(error) ? (status[error.code] ?? "UNKNOWN") : "UNKNOWN";
}

/** Gives a status's own words. */
export function statusWords(error: unknown): string {
  if (isStatus(error) && error.details !== "") return error.details;
  return error instanceof Error ? error.message : String(error);
}

/** Reads the delay that a server attached to its error, in milliseconds. */
function askedDelay(error: unknown): number | undefined {
  const [details] = isStatus(error) ? (error.metadata?.get("grpc-status-details-bin") ?? []) : [];
  if (!Buffer.isBuffer(details)) return undefined;
  try {
    return retryDelay(details);
  } catch {
    return undefined; // a message that is not a Status
  }
}

/** Finds google.rpc.RetryInfo.retry_delay in a google.rpc.Status. */
function retryDelay(message: Uint8Array): number | undefined {
  for (const detail of fieldsOf(message).get(3) ?? []) {
    const any = fieldsOf(detail as Uint8Array);
    if (
      !Buffer.from(any.get(1)?.[0] as Uint8Array)
        .toString()
        .endsWith("/google.rpc.RetryInfo")
    )
      continue;
    const info = fieldsOf(any.get(2)?.[0] as Uint8Array);
    const delay = fieldsOf(info.get(1)?.[0] as Uint8Array);
    return Number(delay.get(1)?.[0] ?? 0) * 1000 + Number(delay.get(2)?.[0] ?? 0) / 1e6;
  }
  return undefined;
}

/** Reads the fields of a message that has only numbers and blocks of bytes. */
function fieldsOf(message: Uint8Array): Map<number, (number | Uint8Array)[]> {
  const fields = new Map<number, (number | Uint8Array)[]>();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const read = type === WireType.LengthDelimited ? reader.bytes() : Number(reader.uint64());
    fields.set(field, [...(fields.get(field) ?? []), read]);
  }
  return fields;
}

/** Waits, and rejects with the signal's reason when it is aborted meanwhile. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const aborted = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", aborted, { once: true });
  });
}
