// The connection to a core, and the calls over it.

import type { BinaryWriter } from "@bufbuild/protobuf/wire";
import * as grpc from "@grpc/grpc-js";
import * as console from "./contract/console.js";
import {
  ExposeSettings,
  InternalState,
  ProcessorRegistration,
  Status,
  Window,
  WindowEmitStatus,
} from "./contract/service.js";
import { InvalidError } from "./errors.js";
import { maxMessageBytes } from "./results.js";
import { type CoreSettings, readPem } from "./settings.js";

interface Codec<M> {
  encode(message: M): BinaryWriter;
  decode(bytes: Uint8Array): M;
}

/** A method of a core. */
export interface Method<Request, Answer> {
  readonly path: string;
  readonly request: Codec<Request>;
  readonly answer: Codec<Answer>;
}

/** What is said of one call. */
export interface CallOptions {
  /** In milliseconds. */
  readonly timeout?: number;
  readonly waitForReady?: boolean;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal | undefined;
  /** Is given the answer's headers. */
  readonly headers?: (headers: grpc.Metadata) => void;
}

const options: grpc.ChannelOptions = {
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  // A core that comes back is found within a second.
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1000,
  // Finds connections that died silently under a long stream. Servers refuse pings that come more often than every five
  // minutes, unless they say otherwise.
  "grpc.keepalive_time_ms": 310_000,
  "grpc.keepalive_timeout_ms": 20_000,
  // Clients of one process would share their connection, and an interruption of it.
  "grpc.use_local_subchannel_pool": 1,
};

const orca = "/orca.console.v1.OrcaConsole";

/** The methods that the SDK calls. */
export const methods = {
  register: { path: "/OrcaCore/RegisterProcessor", request: ProcessorRegistration, answer: Status },
  emit: { path: "/OrcaCore/EmitWindow", request: Window, answer: WindowEmitStatus },
  expose: { path: "/OrcaCore/Expose", request: ExposeSettings, answer: InternalState },
  processors: {
    path: `${orca}/ListProcessors`,
    request: console.ListProcessorsRequest,
    answer: console.ListProcessorsResponse,
  },
  results: { path: `${orca}/ListResults`, request: console.ListResultsRequest, answer: console.ListResultsResponse },
  inputs: { path: `${orca}/ListInputs`, request: console.ListInputsRequest, answer: console.ListInputsResponse },
  window: { path: `${orca}/GetWindow`, request: console.GetWindowRequest, answer: console.GetWindowResponse },
  watch: { path: `${orca}/WatchWindow`, request: console.WatchWindowRequest, answer: console.WatchWindowResponse },
  retry: { path: `${orca}/RetryWindow`, request: console.RetryWindowRequest, answer: console.RetryWindowResponse },
  reprocess: {
    path: `${orca}/ReprocessWindow`,
    request: console.ReprocessWindowRequest,
    answer: console.ReprocessWindowResponse,
  },
  cancel: { path: `${orca}/CancelWindow`, request: console.CancelWindowRequest, answer: console.CancelWindowResponse },
};

/** Writes a message for gRPC. */
export function toBuffer<M>(codec: Codec<M>): (message: M) => Buffer {
  return (message) => {
    const { buffer, byteOffset, byteLength } = codec.encode(message).finish();
    return Buffer.from(buffer, byteOffset, byteLength);
  };
}

/** The connection to a core. Making it does no I/O: gRPC dials when a call is made, and again when it is lost. */
export class Connection {
  /** For people: the core's address. */
  readonly target: string;
  readonly #client: grpc.Client;
  readonly #token: string;
  readonly #calls = new Set<{ cancel(): void }>(); // that are under way
  #closed = false;

  constructor(settings: CoreSettings) {
    const { core, tls, token } = settings;
    const credentials =
      tls === undefined
        ? grpc.credentials.createInsecure()
        : grpc.credentials.createSsl(readPem("ca", tls), readPem("key", tls), readPem("certificate", tls));
    this.target = String(core);
    this.#token = token;
    this.#client = new grpc.Client(core.hostPort, credentials, options);
  }

  /** The channel, for those who watch its state. */
  get channel(): ReturnType<grpc.Client["getChannel"]> {
    return this.#client.getChannel();
  }

  /** Makes a call. It rejects with gRPC's status, or with the signal's reason. */
  unary<Request, Answer>(method: Method<Request, Answer>, request: Request, call: CallOptions = {}): Promise<Answer> {
    this.#checkOpen();
    return new Promise((resolve, reject) => {
      const { signal } = call;
      if (signal?.aborted) return reject(signal.reason);
      const cancel = () => made.cancel();
      const made = this.#client.makeUnaryRequest(
        method.path,
        toBuffer(method.request),
        method.answer.decode,
        request,
        this.#metadata(call),
        call.timeout === undefined ? {} : { deadline: Date.now() + call.timeout },
        (error, answer) => {
          this.#calls.delete(made);
          signal?.removeEventListener("abort", cancel);
          if (error !== null) reject(signal?.aborted ? signal.reason : error);
          else resolve(answer as Answer);
        },
      );
      if (call.headers !== undefined) made.on("metadata", call.headers);
      this.#calls.add(made);
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  /** Makes a call whose answer is a stream. Whoever stops reading ends it. */
  async *stream<Request, Answer>(
    method: Method<Request, Answer>,
    request: Request,
    signal: AbortSignal,
  ): AsyncGenerator<Answer> {
    this.#checkOpen();
    signal.throwIfAborted();
    const made = this.#client.makeServerStreamRequest(
      method.path,
      toBuffer(method.request),
      method.answer.decode,
      request,
      this.#metadata({}),
      {},
    );
    const cancel = () => made.cancel();
    made.on("error", () => undefined); // it is thrown to whoever reads, if anybody does
    this.#calls.add(made);
    signal.addEventListener("abort", cancel, { once: true });
    try {
      yield* made;
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      this.#calls.delete(made);
      signal.removeEventListener("abort", cancel);
      made.cancel();
    }
  }

  #metadata(call: CallOptions): grpc.Metadata {
    const metadata = new grpc.Metadata({ waitForReady: call.waitForReady ?? false });
    if (this.#token !== "") metadata.set("authorization", `Bearer ${this.#token}`);
    if (call.idempotencyKey !== undefined) metadata.set("idempotency-key", call.idempotencyKey);
    return metadata;
  }

  #checkOpen(): void {
    if (this.#closed) throw new InvalidError("the client is closed");
  }

  /** Gives the connection up. Calls that are under way end. */
  close(): void {
    this.#closed = true;
    for (const call of this.#calls) call.cancel();
    this.#client.close();
  }
}
