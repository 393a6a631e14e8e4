// The client: emits windows, waits for what becomes of them, reads results.

import { randomBytes } from "node:crypto";
import type { ServiceError } from "@grpc/grpc-js";
import type { Algorithm } from "./algorithm.js";
import { type CallOptions, Connection, type Method, methods, toBuffer } from "./connection.js";
import type { ListResultsRequest, RunInfo } from "./contract/console.js";
import { Window as WindowMessage } from "./contract/service.js";
import { type Emission, emitStatusOf } from "./emission.js";
import { callError, InvalidError, OrcaError, TimeoutError } from "./errors.js";
import { type Logger, warnings } from "./log.js";
import type { AlgorithmID } from "./names.js";
import { type Freshness, freshnessOf, type GivenRow, givenOf, idOf, Node, Outcome, type Rerun } from "./outcome.js";
import { maxMessageBytes } from "./results.js";
import { brokenStream, codeOf, isStatus, Pauses, sleep, statusWords, transient } from "./retry.js";
import { Row, Rows } from "./rows.js";
import { type CoreOptions, look, resolveCore } from "./settings.js";
import { millisecondsOf, nanosecondsOf, type Time, type Timeout, timestampOf } from "./time.js";
import { writeStruct } from "./values.js";
import { type Window, windowOf } from "./window.js";

const pauses = /* @__PURE__ */ new Pauses(50, 5000);
const attemptLimit = 20_000; // milliseconds for one attempt, so that a connection that swallows calls does not use up the whole time
const pageSize = 500;
const resumable: readonly string[] = [...transient, "ABORTED", "INTERNAL"];

/** What a client is made of. What is not given comes from the environment and orca.json. */
export interface ClientOptions extends CoreOptions {
  /** For how long a call is tried: 30 seconds. */
  readonly timeout?: Timeout;
  /** Where it says what its users should know: warnings go to standard error without it. */
  readonly log?: Logger;
}

/** What is said of one call. */
export interface WaitOptions {
  /** For how long it is tried or waited. */
  readonly timeout?: Timeout;
  /** Ends it: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What is said when a window is emitted. */
export interface EmitOptions extends WaitOptions {
  /** With the same key and window, the core gives the answer of the first again, for a day by default. */
  readonly idempotencyKey?: string;
}

/** Which run of a window. */
export interface RevisionOptions {
  /** 1 is that of the emit, 0 the newest. */
  readonly revision?: number;
}

/** Which results are read. */
export interface ResultsOptions {
  /** Those of windows that end after this. */
  readonly timeFrom?: Time;
  /** Those of windows that begin before this. */
  readonly timeTo?: Time;
  /** Those whose metadata holds all these fields with these values. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What is said when a window is run again. */
export interface RerunOptions {
  /** The values of noStore fields, which the core has not kept. */
  readonly noStore?: Readonly<Record<string, unknown>>;
}

/** A window, by what `emit` gave or by its id. */
export type WindowRef = Emission | string;

/**
 * Emits windows, waits for what becomes of them, and reads results. One for a program is enough. Close it in the end.
 *
 *     const client = new Client();
 *     const emission = await client.emit(new Window(lap, start, end, { origin: "pit wall" }));
 *     const outcome = await client.wait(emission, { timeout: "60s" });
 */
export class Client {
  readonly #connection: Connection;
  readonly #timeout: number;
  readonly #log: Logger;

  constructor(options?: ClientOptions);
  /** @internal */
  constructor(options: ClientOptions, connection: Connection);
  constructor(options: ClientOptions = {}, connection?: Connection) {
    this.#timeout = millisecondsOf("timeout", options.timeout ?? 30_000);
    this.#log = options.log ?? warnings;
    this.#connection = connection ?? new Connection(resolveCore(options, look(options.environment ?? true)));
  }

  /** Gives the connection up. Calls that are under way end. */
  close(): void {
    this.#connection.close();
  }

  /** Closes it at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /**
   * Hands a window to the core. When it resolves, the window is durable and will be processed.
   *
   * While the core is unreachable or takes no more, it tries on with growing pauses until its timeout. It never emits the
   * window twice. When it gives up (UnavailableError), the window may have been accepted; emit it again with an
   * `idempotencyKey` of your own to be sure. The same key with another window is a ConflictError.
   */
  async emit(window: Window, options: EmitOptions = {}): Promise<Emission> {
    const op = `emit window ${window.type}`;
    const size = toBuffer(WindowMessage)(window.message).length;
    if (size > maxMessageBytes) {
      throw new InvalidError(`${op}: ${size} bytes long, at most ${maxMessageBytes} are allowed`);
    }
    let windowId = "";
    const answer = await this.#try(op, methods.emit, window.message, options, {
      idempotencyKey: options.idempotencyKey ?? freshKey(),
      headers: (headers) => {
        windowId = String(headers.get("orca-window-id")[0] ?? "");
      },
    });
    return { windowId, status: emitStatusOf(answer.status) };
  }

  /**
   * Gives the outcome of a window's newest run when it has finished, which may have been long ago.
   *
   * It waits until its timeout, for ever without one, also while the core is away. Then it rejects with a TimeoutError.
   */
  wait(window: WindowRef, options: WaitOptions = {}): Promise<Outcome> {
    return this.outcome(window, options);
  }

  /** Gives the outcome of one run of a window. It waits like `wait`. */
  async outcome(window: WindowRef, options: WaitOptions & RevisionOptions = {}): Promise<Outcome> {
    const [id, revision] = [idOfWindow(window), revisionOf(options)];
    const late = () => new TimeoutError(`window ${id} has no finished run after ${options.timeout}`);
    return await within(options, late, (signal) => this.#follow(id, revision, signal));
  }

  async #follow(id: string, revision: number, signal: AbortSignal): Promise<Outcome> {
    const { target } = this.#connection;
    for (let failures = 1; ; failures++) {
      const nodes = new Map<string, Node>();
      const ended = await settled(this.#watch(id, revision, nodes, signal));
      if ("answer" in ended) return new Outcome(id, ended.answer, [...nodes.values()]);
      if (nodes.size > 0) failures = 1;
      const [code, words] = [codeOf(ended.failure), statusWords(ended.failure)];
      if (!resumable.includes(code)) {
        throw callError({ op: `wait for window ${id}`, core: target, attempts: failures, code }, words);
      }
      if (failures === 2) {
        this.#log.warn(`lost the core at ${target} while waiting for window ${id}, trying on: ${words}`);
      }
      await sleep(pauses.after(failures, ended.failure), signal);
    }
  }

  /** Watches a run, collects its nodes, and gives it when it has finished. */
  async #watch(id: string, revision: number, nodes: Map<string, Node>, signal: AbortSignal): Promise<RunInfo> {
    for await (const { event } of this.#connection.stream(methods.watch, { id, revision }, signal)) {
      if (event?.$case === "finished") return event.value;
      if (event?.$case !== "node") continue;
      const node = new Node(event.value);
      nodes.set(String(node.algorithm), node);
    }
    throw brokenStream("the stream ended before the run did");
  }

  /** Reads an algorithm's results, the newest window first. */
  async results<T>(algorithm: Algorithm<T>, options: ResultsOptions & WaitOptions = {}): Promise<Rows<T>> {
    const rows: Row<T>[] = [];
    for await (const row of this.iterResults(algorithm, options)) rows.push(row);
    return new Rows(rows);
  }

  /** Reads like `results`, in pages while the loop runs. */
  async *iterResults<T>(algorithm: Algorithm<T>, options: ResultsOptions & WaitOptions = {}): AsyncGenerator<Row<T>> {
    const request = resultsRequest(algorithm, options);
    const op = `read results of ${algorithm.id}`;
    do {
      const page = await this.#try(op, methods.results, request, options);
      for (const { window, windowId, node } of page.results) {
        if (window === undefined) throw new OrcaError(`${op}: the core gave a result without its window`);
        const read = algorithm.kind.read(node?.result?.resultData);
        yield new Row(windowOf(window, windowId), read, node?.result?.timestamp ?? 0n);
      }
      request.pageToken = page.pageToken;
    } while (request.pageToken !== "");
  }

  /**
   * Reads the rows that algorithms were given in a run of a window: of those that are named, or of all.
   *
   * They come in the order of the run's algorithms, of each in the order of what it needs, then its own past, and as they
   * were handed over: the current window's first, then the newest.
   */
  async inputs(
    window: WindowRef,
    options: WaitOptions & RevisionOptions & { readonly algorithms?: readonly Algorithm<unknown>[] } = {},
  ): Promise<GivenRow[]> {
    const algorithms = (options.algorithms ?? []).map(({ id: { processor, name, version } }) => ({
      processor,
      name,
      version,
    }));
    const [id, revision] = [idOfWindow(window), revisionOf(options)];
    const request = { id, revision, algorithms, pageSize, pageToken: "", rowsPerInput: 0 };
    const rows: GivenRow[] = [];
    do {
      const page = await this.#try(`read inputs of window ${id}`, methods.inputs, request, options);
      for (const given of page.inputs) rows.push(...given.rows.map((row) => givenOf(given, row)));
      request.pageToken = page.pageToken;
    } while (request.pageToken !== "");
    return rows;
  }

  /** Says which results of a run are stale: of the algorithms that look back and have succeeded or failed. */
  async freshness(
    window: WindowRef,
    options: WaitOptions & RevisionOptions = {},
  ): Promise<{ readonly algorithm: AlgorithmID; readonly freshness: Freshness }[]> {
    const request = { id: idOfWindow(window), revision: revisionOf(options) };
    const answer = await this.#try(`read the freshness of window ${request.id}`, methods.window, request, options);
    return answer.nodes.flatMap((node) => {
      const freshness = freshnessOf(node.freshness);
      return freshness === undefined ? [] : [{ algorithm: idOf(node.algorithm), freshness }];
    });
  }

  /**
   * Makes the next run of a window: the results of what succeeded kept, the others run again.
   *
   * It is a ConflictError while a run of the window is not finished, or where the values of noStore fields are missing,
   * which the core has not kept. A call whose answer was lost is not repeated, since the run may have been made: the error
   * is then an UnavailableError, and the window's newest run tells.
   */
  async retry(window: WindowRef, options: WaitOptions & RerunOptions = {}): Promise<Rerun> {
    const id = idOfWindow(window);
    const request = { id, metadata: writeStruct(options.noStore ?? {}) };
    const answer = await this.#once(`retry window ${id}`, methods.retry, request, options);
    return rerunOf(id, answer.run, undefined);
  }

  /** Makes the next run of a window with the algorithms that are registered now, and from nothing. See `retry`. */
  async reprocess(window: WindowRef, options: WaitOptions & RerunOptions = {}): Promise<Rerun> {
    const id = idOfWindow(window);
    const request = { id, metadata: writeStruct(options.noStore ?? {}) };
    const answer = await this.#once(`reprocess window ${id}`, methods.reprocess, request, options);
    return rerunOf(id, answer.run, emitStatusOf(answer.status));
  }

  /** Settles what is open in a window's newest run as cancelled. A finished run is a ConflictError. */
  async cancel(window: WindowRef, options: WaitOptions = {}): Promise<void> {
    const id = idOfWindow(window);
    await this.#once(`cancel window ${id}`, methods.cancel, { id }, options);
  }

  /** Makes a call until it succeeds, is answered for good, or the time is up. */
  async #try<Request, Answer>(
    op: string,
    method: Method<Request, Answer>,
    request: Request,
    { timeout, signal }: WaitOptions,
    call: CallOptions = {},
  ): Promise<Answer> {
    const end = this.#end(timeout);
    let last: ServiceError | undefined;
    for (let attempts = 1; ; attempts++) {
      const limit = Math.max(1, Math.min(attemptLimit, end - performance.now()));
      const made = await settled(this.#connection.unary(method, request, { ...call, timeout: limit, signal }));
      if ("answer" in made) return made.answer;
      last = moreTelling(last, made.failure);
      const pause = pauses.after(attempts, last);
      if (!transient.includes(codeOf(last)) || performance.now() + pause > end) throw this.#error(op, attempts, last);
      if (attempts === 3) {
        const { target } = this.#connection;
        this.#log.warn(`the core at ${target} does not take a call, trying on: ${op}: ${statusWords(last)}`);
      }
      await sleep(pause, signal);
    }
  }

  /**
   * Makes a call that must not be made twice. It waits for the core to be there, and tries again only what the core refused
   * because it was busy.
   */
  async #once<Request, Answer>(
    op: string,
    method: Method<Request, Answer>,
    request: Request,
    { timeout, signal }: WaitOptions,
  ): Promise<Answer> {
    const end = this.#end(timeout);
    for (let attempts = 1; ; attempts++) {
      const limit = Math.max(1, end - performance.now());
      const call = this.#connection.unary(method, request, { timeout: limit, waitForReady: true, signal });
      const made = await settled(call);
      if ("answer" in made) return made.answer;
      const pause = pauses.after(attempts, made.failure);
      if (codeOf(made.failure) !== "RESOURCE_EXHAUSTED" || performance.now() + pause > end) {
        throw this.#error(op, attempts, made.failure);
      }
      await sleep(pause, signal);
    }
  }

  /** Gives the time at which a call is given up, on the clock of `performance.now`. */
  #end(timeout: Timeout | undefined): number {
    return performance.now() + (timeout === undefined ? this.#timeout : millisecondsOf("timeout", timeout));
  }

  #error(op: string, attempts: number, failure: unknown): OrcaError {
    return callError({ op, core: this.#connection.target, attempts, code: codeOf(failure) }, statusWords(failure));
  }
}

/** Waits for a call: its answer, or the status that it failed with. Anything else that goes wrong is thrown. */
async function settled<T>(call: Promise<T>): Promise<{ answer: T } | { failure: ServiceError }> {
  try {
    return { answer: await call };
  } catch (error) {
    if (isStatus(error)) return { failure: error };
    throw error;
  }
}

/** Of two failures of a call gives the later one, unless it only says that the time was up. */
function moreTelling(before: ServiceError | undefined, now: ServiceError): ServiceError {
  return before !== undefined && ["DEADLINE_EXCEEDED", "CANCELLED"].includes(codeOf(now)) ? before : now;
}

/** Does something that ends with a timeout or a signal. */
async function within<T>(
  { timeout, signal }: WaitOptions,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = new AbortController();
  const aborted = () => ending.abort(signal?.reason);
  if (signal?.aborted) aborted();
  signal?.addEventListener("abort", aborted, { once: true });
  const limit = timeout === undefined ? undefined : millisecondsOf("timeout", timeout);
  const timer = limit === undefined ? undefined : setTimeout(() => ending.abort(late()), limit);
  try {
    return await work(ending.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", aborted);
  }
}

/**
 * Makes a key that no other emit has. It begins with the time, because the core's ledger adds keys that come in order at
 * less cost.
 */
function freshKey(): string {
  return `${Date.now().toString(16).padStart(12, "0")}-${randomBytes(16).toString("hex")}`;
}

function idOfWindow(window: WindowRef): string {
  const id = typeof window === "string" ? window : window.windowId;
  if (id === "") throw new InvalidError("window id: must not be empty");
  return id;
}

function revisionOf({ revision = 0 }: RevisionOptions): number {
  if (Number.isInteger(revision) && revision >= 0 && revision < 2 ** 31) return revision;
  throw new InvalidError(`revision ${revision}: must be 1 or more, or 0 for the newest`);
}

function rerunOf(windowId: string, run: RunInfo | undefined, status: Rerun["status"]): Rerun {
  return { windowId, revision: run?.revision ?? 0, position: run?.position ?? 0n, status };
}

function resultsRequest({ id }: Algorithm<unknown>, options: ResultsOptions): ListResultsRequest {
  const { timeFrom, timeTo, metadata = {} } = options;
  return {
    pageSize,
    pageToken: "",
    name: id.name,
    version: id.version,
    processor: id.processor,
    timeFrom: timeFrom === undefined ? undefined : timestampOf(nanosecondsOf("from", timeFrom)),
    timeTo: timeTo === undefined ? undefined : timestampOf(nanosecondsOf("to", timeTo)),
    includeFailed: false,
    metadata: writeStruct(metadata),
  };
}
