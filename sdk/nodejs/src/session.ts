// One run of a processor: a server, the connection to the core, and what keeps the core informed.

import * as grpc from "@grpc/grpc-js";
import type { Algorithm } from "./algorithm.js";
import { Announcer } from "./announce.js";
import { Bell } from "./bell.js";
import { Client } from "./client.js";
import { Connection } from "./connection.js";
import type { ProcessorRegistration } from "./contract/service.js";
import { InvalidError, OrcaError, wordsOf } from "./errors.js";
import type { Logger } from "./log.js";
import { maxMessageBytes } from "./results.js";
import { Service } from "./service.js";
import { announced, type Endpoint, type ProcessorSettings, readPem, type TLS } from "./settings.js";
import { Threads } from "./threads.js";

const options: grpc.ServerOptions = {
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  // Calls beyond this wait at the core. Each holds its request in memory.
  "grpc.max_concurrent_streams": 256,
};

const cutOff = 1000; // milliseconds that algorithms cancelled at the end of the drain have to return

/** What a session is made of. */
export interface SessionParts {
  readonly name: string;
  readonly algorithms: readonly Algorithm<unknown>[];
  readonly settings: ProcessorSettings;
  readonly serverTls: TLS | undefined;
  readonly registration: (address: string, project: string) => ProcessorRegistration;
  readonly concurrency: number;
  readonly threads: number;
  readonly drain: number;
  readonly log: Logger;
  /** Called when it has stopped. */
  readonly stopped: () => void;
}

/** A processor that runs. Made by `processor.start()`. */
export class Session {
  /** Where the core reaches it. */
  readonly address: string;
  readonly #parts: SessionParts;
  readonly #server: grpc.Server;
  readonly #service: Service;
  readonly #threads: Threads;
  readonly #connection: Connection;
  readonly #stopping = new AbortController();
  readonly #registered: Promise<void>;
  readonly #ended: Promise<void>;
  #stopped: Promise<void> | undefined;

  private constructor(parts: SessionParts, made: Listening) {
    this.#parts = parts;
    this.#server = made.server;
    this.#service = made.service;
    this.#threads = made.threads;
    this.#connection = made.connection;
    this.address = String(made.address);
    let accepted = () => {};
    const first = new Promise<void>((resolve) => {
      accepted = resolve;
    });
    const announcer = new Announcer({
      registration: parts.registration(this.address, parts.settings.project),
      connection: made.connection,
      log: parts.log,
      heard: made.heard,
      starting: () => made.service.serve(),
      accepted,
    });
    this.#ended = announcer.run(this.#stopping.signal);
    const early = this.#ended.then(() => {
      throw new OrcaError(`processor ${parts.name} was stopped before a core had accepted it`);
    });
    this.#registered = Promise.race([first, early]);
    for (const promise of [this.#ended, early, this.#registered]) promise.catch(() => undefined); // whoever waits is told
  }

  /** Listens, and begins to register. */
  static async start(parts: SessionParts): Promise<Session> {
    const { settings, log } = parts;
    const threads = new Threads(parts.threads);
    const connection = new Connection(settings.core);
    const server = new grpc.Server(options);
    try {
      const client = new Client({ log }, connection);
      const heard = new Bell();
      const service = new Service({
        algorithms: parts.algorithms,
        concurrency: parts.concurrency,
        threads,
        emit: (window, idempotencyKey) => client.emit(window, idempotencyKey === undefined ? {} : { idempotencyKey }),
        heard,
        log,
      });
      service.addTo(server);
      await threads.load(parts.algorithms);
      const port = await listen(server, parts);
      const address = announced(settings, port, parts.serverTls !== undefined);
      warnOf(parts, address);
      return new Session(parts, { server, service, threads, connection, heard, address });
    } catch (error) {
      server.forceShutdown();
      connection.close();
      await threads.close();
      throw error;
    }
  }

  /** Resolves when a core has accepted the processor, and rejects when the core refuses it. */
  registered(): Promise<void> {
    return this.#registered;
  }

  /** Resolves when it was stopped, and rejects when the core refuses the processor. */
  finished(): Promise<void> {
    return this.#ended;
  }

  /**
   * Takes no more work, waits for what runs, and gives up what runs longer than the drain. The core sees its connection
   * closed in the orderly way of HTTP/2, so that it sends new work elsewhere without having lost a call.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { name, drain, log } = this.#parts;
    this.#service.drain();
    this.#stopping.abort(new OrcaError(`processor ${name} stops`));
    const done = new Promise<true>((resolve) => this.#server.tryShutdown(() => resolve(true)));
    if (!(await Promise.race([done, after(drain)]))) {
      log.warn(
        `processor ${name} stops with ${this.#service.active} unfinished algorithms after ${drain / 1000} s; the core will` +
          " have them executed again",
      );
      this.#service.cancel();
      await Promise.race([done, after(cutOff)]);
    }
    this.#server.forceShutdown();
    this.#connection.close();
    await this.#threads.close();
    await this.#ended.catch(() => undefined); // `finished` tells
    this.#parts.stopped();
  }

  /** Stops it at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

interface Listening {
  readonly server: grpc.Server;
  readonly service: Service;
  readonly threads: Threads;
  readonly connection: Connection;
  readonly heard: Bell;
  readonly address: Endpoint;
}

/** Resolves with false after some time, which keeps no program alive. */
function after(milliseconds: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), milliseconds).unref());
}

function listen(server: grpc.Server, { name, settings, serverTls }: SessionParts): Promise<number> {
  const { listen } = settings;
  const where = listen.host === "" ? `[::]:${listen.port}` : listen.hostPort;
  return new Promise((resolve, reject) => {
    server.bindAsync(where, serverCredentials(serverTls), (error, port) => {
      if (error === null) return resolve(port);
      const hint = "choose another port with PROCESSOR_PORT or listen:";
      reject(new OrcaError(`processor ${name} cannot listen on ${where}: ${wordsOf(error)}; ${hint}`));
    });
  });
}

function serverCredentials(tls: TLS | undefined): grpc.ServerCredentials {
  if (tls === undefined) return grpc.ServerCredentials.createInsecure();
  const [ca, certificate, key] = [readPem("ca", tls), readPem("certificate", tls), readPem("key", tls)];
  if (certificate === null || key === null) throw new InvalidError("serverTls: it needs a certificate and a key");
  return grpc.ServerCredentials.createSsl(ca, [{ cert_chain: certificate, private_key: key }], ca !== null);
}

function warnOf({ settings, log }: SessionParts, address: Endpoint): void {
  const { core } = settings.core;
  if (address.local && !core.local) {
    log.warn(
      `the core at ${core} is elsewhere and is told ${address}, which only this machine reaches; set PROCESSOR_ADDRESS`,
    );
  }
}
