// Keeps a processor registered.
//
// A registration is the newest word on its processor, so repeating it for no reason could undo what a newer instance
// announced during a rolling upgrade. It is sent once, and again only when the core says that it does not know the
// processor. That is asked when heartbeats stay out, and when the connection to the core was lost and is back. A core whose
// connection is up and whose heartbeats arrive is never asked.

import { connectivityState } from "@grpc/grpc-js";
import { Bell } from "./bell.js";
import { type Connection, methods } from "./connection.js";
import { InstanceState, type ProcessorInfo } from "./contract/console.js";
import type { ProcessorRegistration, Status } from "./contract/service.js";
import { ConflictError, callError } from "./errors.js";
import type { Logger } from "./log.js";
import { codeOf, isStatus, Pauses, sleep, statusWords } from "./retry.js";

/** Milliseconds that a core may be silent before it is asked: three heartbeats of the usual five seconds. */
export const heartbeatSilence = 15_000;

const timeout = 20_000; // milliseconds for one call
const pauses = /* @__PURE__ */ new Pauses(100, 5000);

/** The codes with which trying again is of no use before somebody changes something. */
const refusals: readonly string[] = [
  "INVALID_ARGUMENT",
  "FAILED_PRECONDITION",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "UNIMPLEMENTED",
  "OUT_OF_RANGE",
];

/** What an announcer needs. */
export interface AnnouncerParts {
  readonly registration: ProcessorRegistration;
  readonly connection: Connection;
  readonly log: Logger;
  /** Rung by each heartbeat. */
  readonly heard: Bell;
  /** Called before a registration is sent. */
  readonly starting: () => void;
  /** Called after each that the core accepted. */
  readonly accepted: () => void;
  readonly silence?: number;
}

/** Registers, and looks after it. */
export class Announcer {
  readonly #parts: AnnouncerParts;
  readonly #back = new Bell(); // rung when the connection was lost and is back

  constructor(parts: AnnouncerParts) {
    this.#parts = parts;
  }

  /** Works until the signal is aborted. It rejects when the core refuses the processor. */
  async run(signal: AbortSignal): Promise<void> {
    const watching = watch(this.#parts.connection, this.#back, signal);
    try {
      while (!signal.aborted) {
        await this.#register(signal);
        await this.#awaitLoss(signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    await watching;
  }

  /** Tries until the core has accepted the processor, or has refused it. */
  async #register(signal: AbortSignal): Promise<void> {
    const { registration, connection, log, starting } = this.#parts;
    starting();
    for (let failures = 1; ; failures++) {
      try {
        this.#welcome(await connection.unary(methods.register, registration, { timeout, signal }));
        return;
      } catch (error) {
        if (!isStatus(error)) throw error;
        const [code, words] = [codeOf(error), statusWords(error)];
        if (refusals.includes(code)) {
          const op = `register processor ${registration.name}`;
          throw callError({ op, core: connection.target, attempts: failures, code }, words);
        }
        if (failures === 1 || failures % 20 === 0) {
          log.warn(
            `processor ${registration.name} cannot register at ${connection.target} (attempt ${failures}), trying on;` +
              ` is a core running there? ${words}`,
          );
        }
        await sleep(pauses.after(failures, error), signal);
      }
    }
  }

  /** Says what the core has to say: what is awaited, what was replaced, warnings. */
  #welcome(answer: Status): void {
    const { registration, connection, log, accepted } = this.#parts;
    if (!answer.received) {
      throw new ConflictError(`register processor ${registration.name} at ${connection.target}: ${answer.message}`);
    }
    log.info(
      `processor ${registration.name} registered at ${connection.target} with` +
        ` ${registration.supportedAlgorithms.length} algorithms, reached at ${registration.connectionStr}`,
    );
    if (answer.message !== "") log.warn(`the core says to processor ${registration.name}: ${answer.message}`);
    accepted();
  }

  /** Returns when the core no longer knows the processor. */
  async #awaitLoss(signal: AbortSignal): Promise<void> {
    const { registration, log, silence = heartbeatSilence } = this.#parts;
    let [failures, limit] = [0, silence];
    while (!signal.aborted) {
      if (await this.#heardWithin(limit, signal)) {
        [failures, limit] = [0, silence];
        continue;
      }
      if (signal.aborted) return;
      this.#back.silence();
      try {
        if (!(await this.#known(signal))) {
          log.warn(`the core does not know processor ${registration.name} any more; registering again`);
          return;
        }
        [failures, limit] = [0, silence];
      } catch (error) {
        if (!isStatus(error)) throw error;
        failures++;
        limit = pauses.after(failures, error);
      }
    }
  }

  /** Says whether a heartbeat came before the time was up and before the connection came back. */
  async #heardWithin(limit: number, signal: AbortSignal): Promise<boolean> {
    const { heard } = this.#parts;
    await Bell.first([heard, this.#back], limit, signal);
    const wasHeard = heard.rung;
    heard.silence();
    return wasHeard && !this.#back.rung;
  }

  /** Asks the core whether the processor is registered at this address with as many algorithms. */
  async #known(signal: AbortSignal): Promise<boolean> {
    const { connection, registration } = this.#parts;
    const request = { pageSize: 1000, pageToken: "" };
    do {
      try {
        const page = await connection.unary(methods.processors, request, { timeout, signal });
        const own = page.processors.find(({ name }) => name === registration.name);
        if (own !== undefined) return this.#listed(own);
        request.pageToken = page.pageToken;
      } catch (error) {
        if (codeOf(error) === "UNIMPLEMENTED") return this.#exposed(signal);
        throw error;
      }
    } while (request.pageToken !== "");
    return false;
  }

  #listed(processor: ProcessorInfo): boolean {
    const { registration, log } = this.#parts;
    const own = processor.instances.find(
      ({ connectionStr }) => bare(connectionStr) === bare(registration.connectionStr),
    );
    if (own?.state === InstanceState.INSTANCE_STATE_UNREACHABLE) {
      log.warn(
        `the core cannot reach processor ${registration.name} at ${registration.connectionStr}, which it announced` +
          ` (${own.reason}); set PROCESSOR_ADDRESS`,
      );
    }
    return own?.algorithms === registration.supportedAlgorithms.length;
  }

  /**
   * Asks a core that has no console. It tells one address for each processor and runtime, so another instance can hide this
   * one, which then registers again; that is harmless.
   */
  async #exposed(signal: AbortSignal): Promise<boolean> {
    const { connection, registration } = this.#parts;
    const state = await connection.unary(methods.expose, { excludeProject: "" }, { timeout, signal });
    return state.processors.some(
      ({ name, connectionStr }) =>
        name === registration.name && bare(connectionStr) === bare(registration.connectionStr),
    );
  }
}

function bare(address: string): string {
  return address.replace(/^grpcs?:\/\//, "");
}

/** Keeps the connection up, and tells when it is ready again after it was lost, until the signal is aborted. */
async function watch(connection: Connection, back: Bell, signal: AbortSignal): Promise<void> {
  let [wasReady, lost] = [false, false];
  while (!signal.aborted) {
    const state = connection.channel.getConnectivityState(true);
    const ready = state === connectivityState.READY;
    if (ready && lost) back.ring();
    lost = (lost || wasReady) && !ready;
    wasReady ||= ready;
    await changed(connection, state, signal);
  }
}

/** Waits until the connection's state is another one, or the signal is aborted. */
function changed(connection: Connection, state: connectivityState, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done, { once: true });
    // Without a deadline there is no timer, and the channel lets go of what waits when it is closed.
    connection.channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, done);
  });
}
