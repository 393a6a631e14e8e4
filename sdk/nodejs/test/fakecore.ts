// A core that a test scripts, over the real gRPC stack, and what a core does with a processor.

import type { TestContext } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { toBuffer } from "../src/connection.js";
import {
  ListProcessorsResponse as Listed,
  ListProcessorsRequest,
  type ListProcessorsResponse,
} from "../src/contract/console.js";
import {
  ExecutionRequest,
  ExecutionResult,
  HealthCheckRequest,
  HealthCheckResponse,
  ProcessorRegistration,
  Status,
  WindowEmitStatus,
  Window as WindowMessage,
} from "../src/contract/service.js";

/** How a call ends without an answer. */
export interface Refusal {
  readonly code: grpc.status;
  readonly details: string;
  readonly metadata?: grpc.Metadata;
}

/** What a test scripts. What it leaves out is answered as by a core that is content. */
export interface Script {
  register?(registration: ProcessorRegistration): Refusal | Status;
  emit?(window: WindowMessage, headers: grpc.Metadata): Refusal | WindowEmitStatus | "no answer";
  processors?(): Refusal | ListProcessorsResponse;
}

/** A core that is scripted. */
export class FakeCore {
  readonly registrations: ProcessorRegistration[] = [];
  readonly emits: { readonly window: WindowMessage; readonly key: string; readonly token: string }[] = [];
  asked = 0; // how often it was asked for its processors
  #server = new grpc.Server();
  address = "127.0.0.1:0";

  private constructor(private readonly script: Script) {}

  /** Starts a core that ends with the test. */
  static async start(t: TestContext, script: Script = {}): Promise<FakeCore> {
    const core = new FakeCore(script);
    await core.start();
    t.after(() => core.stop());
    return core;
  }

  /** Starts it, again at the same address when it was stopped. */
  async start(): Promise<void> {
    this.#server = new grpc.Server();
    this.#server.addService(definition, {
      register: (call: Call<ProcessorRegistration>, answer: Answer) => {
        this.registrations.push(call.request);
        reply(answer, this.script.register?.(call.request) ?? { received: true, message: "" });
      },
      emit: (call: Call<WindowMessage>, answer: Answer) => this.#emit(call, answer),
      processors: (_: Call<ListProcessorsRequest>, answer: Answer) => {
        this.asked++;
        reply(answer, this.script.processors?.() ?? { processors: [], pageToken: "" });
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(this.address, grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    this.address = `127.0.0.1:${port}`;
  }

  /** Ends it as a crash would. */
  stop(): void {
    this.#server.forceShutdown();
  }

  #emit(call: Call<WindowMessage>, answer: Answer): void {
    const header = (name: string) => String(call.metadata.get(name)[0] ?? "");
    this.emits.push({ window: call.request, key: header("idempotency-key"), token: header("authorization") });
    const said = this.script.emit?.(call.request, call.metadata) ?? { status: 2 };
    if (said === "no answer") return;
    const headers = new grpc.Metadata();
    headers.set("orca-window-id", `w-${this.emits.length}`);
    call.sendMetadata(headers);
    reply(answer, said);
  }
}

type Call<Request> = grpc.ServerUnaryCall<Request, unknown>;
type Answer = (error: Refusal | null, value?: unknown) => void;

function reply(answer: Answer, said: Refusal | object): void {
  if ("code" in said) answer(said as Refusal);
  else answer(null, said);
}

interface Codec<M> {
  encode: Parameters<typeof toBuffer<M>>[0]["encode"];
  decode(bytes: Uint8Array): M;
}

function unary<Q, A>(path: string, request: Codec<Q>, response: Codec<A>) {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: toBuffer(request),
    requestDeserialize: (bytes: Buffer) => request.decode(bytes),
    responseSerialize: toBuffer(response),
    responseDeserialize: (bytes: Buffer) => response.decode(bytes),
  } as const;
}

const definition = {
  register: unary("/OrcaCore/RegisterProcessor", ProcessorRegistration, Status),
  emit: unary("/OrcaCore/EmitWindow", WindowMessage, WindowEmitStatus),
  processors: unary("/orca.console.v1.OrcaConsole/ListProcessors", ListProcessorsRequest, Listed),
};

/** What a core does with a processor at an address. */
export class ProcessorStub {
  readonly #client: grpc.Client;

  constructor(t: TestContext, address: string, credentials = grpc.credentials.createInsecure()) {
    this.#client = new grpc.Client(address.replace("grpcs://", ""), credentials);
    t.after(() => this.#client.close());
  }

  /** Asks how it is. */
  health(): Promise<HealthCheckResponse> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        "/OrcaProcessor/HealthCheck",
        toBuffer(HealthCheckRequest),
        HealthCheckResponse.decode,
        { timestamp: 1n },
        (error, answer) => (answer === undefined ? reject(error) : resolve(answer)),
      );
    });
  }

  /** Asks it to execute. The stream yields its results. */
  execute(request: ExecutionRequest, options: grpc.CallOptions = {}): grpc.ClientReadableStream<ExecutionResult> {
    const stream = this.#client.makeServerStreamRequest(
      "/OrcaProcessor/ExecuteDagPart",
      toBuffer(ExecutionRequest),
      ExecutionResult.decode,
      request,
      new grpc.Metadata(),
      options,
    );
    stream.on("error", () => undefined);
    return stream;
  }

  /** Asks it to execute, and gives all results and how the stream ended. */
  results(request: ExecutionRequest): Promise<{ results: ExecutionResult[]; status: grpc.StatusObject }> {
    const stream = this.execute(request);
    const results: ExecutionResult[] = [];
    stream.on("data", (result: ExecutionResult) => results.push(result));
    return new Promise((resolve) => stream.on("status", (status) => resolve({ results, status })));
  }
}
