// What the core calls.

import * as grpc from "@grpc/grpc-js";
import type { Algorithm } from "./algorithm.js";
import { nameOnly } from "./algorithm.js";
import type { Bell } from "./bell.js";
import { toBuffer } from "./connection.js";
import {
  type Algorithm as AlgorithmMessage,
  type ExecuteAlgorithm,
  ExecutionRequest,
  ExecutionResult,
  HealthCheckResponse_Status as Health,
  HealthCheckRequest,
  HealthCheckResponse,
  type Result,
  ResultStatus,
  type Window as WindowMessage,
} from "./contract/service.js";
import { OrcaError, wordsOf } from "./errors.js";
import { type Executed, execute, failureOf } from "./execute.js";
import { DeprecatedResults } from "./inputs.js";
import type { Logger } from "./log.js";
import { Meter } from "./meter.js";
import type { Emitter } from "./run.js";
import type { Threads } from "./threads.js";
import { readTimestamp, timeText } from "./time.js";

/** The phases of a service. They only go forward. */
type Phase = "starting" | "serving" | "draining";

/** One algorithm of a request. */
interface Task {
  readonly algorithm: Algorithm<unknown>;
  readonly asked: ExecuteAlgorithm;
}

/** What a service needs. */
export interface ServiceParts {
  readonly algorithms: readonly Algorithm<unknown>[];
  /** How many algorithms run at once. */
  readonly concurrency: number;
  readonly threads: Threads;
  readonly emit: Emitter;
  /** Rung by each heartbeat. */
  readonly heard: Bell;
  readonly log: Logger;
}

type Call = grpc.ServerWritableStream<ExecutionRequest, ExecutionResult>;

const empty = /* @__PURE__ */ new Uint8Array(0);

/** Runs algorithms for a core. At most `concurrency` of them run at once, the others wait in order. */
export class Service {
  readonly #parts: ServiceParts;
  readonly #algorithms = new Map<string, Algorithm<unknown>>(); // by name and version
  readonly #meter = new Meter();
  readonly #waiting: (() => void)[] = []; // for a place; bounded by the streams that the server takes
  readonly #running = new Set<AbortController>(); // the calls that are under way
  #phase: Phase = "starting";
  #active = 0;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    for (const algorithm of parts.algorithms) this.#algorithms.set(called(algorithm.id), algorithm);
  }

  /** How many algorithms run. */
  get active(): number {
    return this.#active;
  }

  /** Says from now on that work is welcome. */
  serve(): void {
    if (this.#phase === "starting") this.#phase = "serving";
  }

  /** Says from now on that work is not welcome. */
  drain(): void {
    this.#phase = "draining";
  }

  /** Gives up what runs. */
  cancel(): void {
    for (const call of this.#running) call.abort(new OrcaError("the processor stops"));
  }

  /** Adds what the core calls to a server. */
  addTo(server: grpc.Server): void {
    const method = { requestStream: false, originalName: "" };
    server.addService(
      {
        HealthCheck: {
          ...method,
          path: "/OrcaProcessor/HealthCheck",
          responseStream: false,
          requestSerialize: toBuffer(HealthCheckRequest),
          requestDeserialize: HealthCheckRequest.decode,
          responseSerialize: toBuffer(HealthCheckResponse),
          responseDeserialize: HealthCheckResponse.decode,
        },
        ExecuteDagPart: {
          ...method,
          path: "/OrcaProcessor/ExecuteDagPart",
          responseStream: true,
          requestSerialize: toBuffer(ExecutionRequest),
          requestDeserialize: ExecutionRequest.decode,
          responseSerialize: toBuffer(ExecutionResult),
          responseDeserialize: ExecutionResult.decode,
        },
      } as grpc.ServiceDefinition<grpc.UntypedServiceImplementation>,
      {
        HealthCheck: (_call: unknown, answer: grpc.sendUnaryData<HealthCheckResponse>) => answer(null, this.#health()),
        ExecuteDagPart: (call: Call) => {
          this.#execute(call).catch((error) => {
            this.#parts.log.error(`a request failed: ${wordsOf(error)}`);
            refuse(call, grpc.status.INTERNAL, wordsOf(error));
          });
        },
      },
    );
  }

  /** Answers a heartbeat. */
  #health(): HealthCheckResponse {
    this.#parts.heard.ring();
    const usage = this.#meter.read();
    const serving = this.#phase === "serving";
    return {
      status: serving ? Health.STATUS_SERVING : Health.STATUS_TRANSITIONING,
      message: serving ? "" : this.#phase,
      metrics: {
        activeTasks: this.#active,
        memoryBytes: BigInt(usage.memoryBytes),
        cpuPercent: usage.cpuPercent,
        uptimeSeconds: BigInt(usage.uptimeSeconds),
      },
    };
  }

  /**
   * Runs the algorithms of a request at the same time and streams each result as soon as it is there. Those that this
   * processor does not have end the stream with UNIMPLEMENTED, after the results of the others.
   */
  async #execute(call: Call): Promise<void> {
    const { request } = call;
    if (request.execId === "" || request.window === undefined) {
      refuse(call, grpc.status.INVALID_ARGUMENT, "exec_id and window are required");
      return;
    }
    const { window } = request;
    const { tasks, unknown } = this.#tasks(request);
    const given = new AbortController();
    this.#running.add(given);
    call.on("cancelled", () => given.abort(new OrcaError("the core has given this execution up")));
    await Promise.all(
      tasks.map(async (task) => {
        const executed = await this.#perform(request.execId, window, task, given.signal);
        if (executed !== undefined && !given.signal.aborted) call.write(this.#answer(request, window, task, executed));
      }),
    );
    this.#running.delete(given);
    if (given.signal.aborted) {
      refuse(call, grpc.status.UNAVAILABLE, "this processor stops"); // which nobody hears who has cancelled
    } else if (unknown.length > 0) {
      const names = unknown.join(", ");
      this.#parts.log.error(
        `asked for ${names}, which this processor does not have; is another one registered at its address?`,
      );
      refuse(call, grpc.status.UNIMPLEMENTED, `this processor does not have ${names}`);
    } else {
      call.end();
    }
  }

  /** Reads what is asked for from the request's fields, or from the deprecated ones if only these are filled. */
  #tasks(request: ExecutionRequest): { tasks: Task[]; unknown: string[] } {
    const [tasks, unknown]: [Task[], string[]] = [[], []];
    const add = (named: AlgorithmMessage | undefined, asked: ExecuteAlgorithm) => {
      const name = called(named ?? { name: "", version: "" });
      const algorithm = this.#algorithms.get(name);
      if (algorithm === undefined) unknown.push(name);
      else tasks.push({ algorithm, asked });
    };
    for (const asked of request.algorithmExecutions) add(asked.algorithm, asked);
    if (request.algorithmExecutions.length > 0) return { tasks, unknown };
    const results = new DeprecatedResults(request);
    for (const algorithm of request.algorithms) add(algorithm, { algorithm, dependencies: [], selfResults: [] });
    for (const { asked, algorithm } of tasks) if (asked.algorithm) results.add(asked.algorithm, algorithm);
    return {
      tasks: tasks.map(({ asked, algorithm }) => ({
        algorithm,
        asked: asked.algorithm ? results.execution(asked.algorithm, algorithm) : asked,
      })),
      unknown,
    };
  }

  /** Runs one algorithm in its turn. There is no result when it is given up before. */
  async #perform(
    execId: string,
    window: WindowMessage,
    { algorithm, asked }: Task,
    signal: AbortSignal,
  ): Promise<Executed | undefined> {
    const { threads, emit } = this.#parts;
    await this.#place();
    try {
      if (signal.aborted) return undefined;
      const execution = { window, asked, emit, signal, execId };
      return algorithm.worker === undefined
        ? await execute(algorithm, execution)
        : await threads.run(algorithm, execution);
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    } finally {
      this.#free();
    }
  }

  async #place(): Promise<void> {
    if (this.#active < this.#parts.concurrency) this.#active++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve)); // and is given the place of another
  }

  #free(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#active--;
    else next();
  }

  #answer(request: ExecutionRequest, window: WindowMessage, task: Task, { result }: Executed): ExecutionResult {
    const { name, version } = task.algorithm.id;
    if (result.status !== ResultStatus.RESULT_STATUS_SUCEEDED) this.#report(window, task.algorithm, result);
    return {
      execId: request.execId,
      algorithmResult: {
        algorithm: nameOnly(name, version),
        result,
        // Its metadata stays away: it can be large, and is not to be stored in part.
        window: { ...window, metadata: empty },
      },
    };
  }

  /** Writes down what the developer of an algorithm wants to see. The core gets the same in the result. */
  #report(window: WindowMessage, algorithm: Algorithm<unknown>, result: Result): void {
    const [from, to] = [timeText(readTimestamp(window.timeFrom)), timeText(readTimestamp(window.timeTo))];
    const text = `${algorithm.id} failed for ${from} to ${to}: `;
    const { message, stack } = failureOf(result);
    if (result.status === ResultStatus.RESULT_STATUS_HANDLED_FAILED) this.#parts.log.debug(text + message);
    else this.#parts.log.warn(text + (stack || message));
  }
}

function called({ name, version }: { readonly name: string; readonly version: string }): string {
  return `${name} ${version}`;
}

function refuse(call: Call, code: grpc.status, details: string): void {
  call.emit("error", { code, details }); // which is how a stream ends with a status
}
