// An Orca processor made from the generated stubs alone, as peers without our SDKs are. The README of
// conformance/bare says what the programs of all languages do; this one is the TypeScript one.
import { parseArgs } from "node:util";

import {
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import {
  type Algorithm,
  type AlgorithmDependencyResultRow,
  type ExecutionRequest,
  ExecutionResult,
  type HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_Status,
  OrcaCoreClient,
  type OrcaProcessorServer,
  OrcaProcessorService,
  ProcessorRegistration,
  type Result,
  ResultStatus,
  ResultType,
  type Window,
} from "@orca-telemetry/contract";
import type { Timestamp } from "@orca-telemetry/contract/google/protobuf/timestamp";

const runtime = `node ${process.version}`;

function registration(name: string, address: string): ProcessorRegistration {
  const algorithm = (algorithm: string, description: string, resultType: ResultType, ...dependencies: string[]) => ({
    name: algorithm,
    version: "1.0.0",
    windowType: {
      name: "Reading",
      version: "1.0.0",
      description: "A stretch of readings of one asset",
      metadataFields: [{ name: "asset", description: "The asset that was read" }],
    },
    resultType,
    description,
    dependencies: dependencies.map((d) => ({
      name: d,
      version: "1.0.0",
      processorName: name,
      processorRuntime: runtime,
    })),
  });
  return ProcessorRegistration.fromPartial({
    name,
    runtime,
    connectionStr: address,
    supportedAlgorithms: [
      algorithm("Mean", "The mean of the readings", ResultType.VALUE),
      algorithm("Spread", "The lowest and the highest reading", ResultType.ARRAY, "Mean"),
      algorithm("Report", "A report for people", ResultType.STRUCT, "Mean", "Spread"),
    ],
  });
}

// One algorithm to run, with what it is given, whichever fields of the request said so.
interface Task {
  name: string;
  version: string;
  window: Window | undefined;
  dependencies: { name: string; version: string; rows: AlgorithmDependencyResultRow[] }[];
  self: AlgorithmDependencyResultRow[];
}

function newFields(request: ExecutionRequest): Task[] {
  return request.algorithmExecutions.map((e) => ({
    name: e.algorithm?.name ?? "",
    version: e.algorithm?.version ?? "",
    window: request.window,
    dependencies: e.dependencies.map((d) => ({
      name: d.algorithm?.name ?? "",
      version: d.algorithm?.version ?? "",
      rows: d.result,
    })),
    self: e.selfResults,
  }));
}

// Reads a request as processors did before algorithm_executions: every algorithm finds its dependencies among the
// results of the whole request, by name and version.
function oldFields(request: ExecutionRequest): Task[] {
  const rows = (name: string, version: string) =>
    request.algorithmResults
      .filter((r) => r.algorithm?.name === name && r.algorithm.version === version)
      .map((r) => ({ result: r.result, window: r.window }));
  return request.algorithms.map((a: Algorithm) => ({
    name: a.name,
    version: a.version,
    window: request.window,
    dependencies: a.dependencies.map((d) => ({ name: d.name, version: d.version, rows: rows(d.name, d.version) })),
    self: [],
  }));
}

// Computes a number that shows what was given: the seconds of the window and the newest result of each dependency,
// added up.
function execute(task: Task): Result {
  let n = Number(nanoseconds(task.window?.timeTo) - nanoseconds(task.window?.timeFrom)) / 1e9;
  for (const d of task.dependencies) {
    const newest = d.rows[0];
    if (newest === undefined) return failure(`${task.name} was given no result of ${d.name}`);
    n += number(newest.result);
  }
  switch (task.name) {
    case "Mean":
      return success({ $case: "singleValue", value: n });
    case "Spread":
      return success({ $case: "floatValues", value: { values: [n - 1, n + 1] } });
    case "Report":
      return success({ $case: "structValue", value: { asset: task.window?.metadata?.["asset"], value: n } });
    default:
      return failure(`there is no algorithm ${task.name}`);
  }
}

// A single value, or the sum of an array.
function number(result: Result | undefined): number {
  switch (result?.resultData?.$case) {
    case "singleValue":
      return result.resultData.value;
    case "floatValues":
      return result.resultData.value.values.reduce((sum, v) => sum + v, 0);
    default:
      return 0;
  }
}

function success(resultData: Result["resultData"]): Result {
  return { status: ResultStatus.RESULT_STATUS_SUCEEDED, resultData, timestamp: now(), error: undefined };
}

function failure(message: string): Result {
  return {
    status: ResultStatus.RESULT_STATUS_UNHANDLED_FAILED,
    resultData: undefined,
    timestamp: now(),
    error: { message },
  };
}

function now(): bigint {
  return BigInt(Math.floor(Date.now() / 1000));
}

// The line that says what the task was given.
function report(task: Task, execId: string) {
  return {
    executed: task.name,
    version: task.version,
    execId,
    window: describe(task.window),
    dependencies: task.dependencies.map((d) => ({ name: d.name, version: d.version, rows: d.rows.map(row) })),
    self: task.self.map(row),
  };
}

function row(r: AlgorithmDependencyResultRow) {
  const out = { window: describe(r.window), status: r.result?.status };
  const data = r.result?.resultData;
  switch (data?.$case) {
    case "singleValue":
      return { ...out, value: data.value };
    case "floatValues":
      return { ...out, array: data.value.values };
    case "structValue":
      return { ...out, struct: data.value };
    default:
      return out;
  }
}

// Times go as text, in nanoseconds since the epoch: JSON's numbers do not hold them in every language.
function describe(w: Window | undefined) {
  return {
    type: w?.windowTypeName ?? "",
    version: w?.windowTypeVersion ?? "",
    origin: w?.origin ?? "",
    from: nanoseconds(w?.timeFrom).toString(),
    to: nanoseconds(w?.timeTo).toString(),
    metadata: w?.metadata ?? {},
  };
}

function nanoseconds(t: Timestamp | undefined): bigint {
  return t === undefined ? 0n : t.seconds * 1_000_000_000n + BigInt(t.nanos);
}

function print(line: unknown): void {
  process.stdout.write(JSON.stringify(line) + "\n");
}

function processor(read: (request: ExecutionRequest) => Task[]): OrcaProcessorServer {
  return {
    healthCheck(_: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>, done: sendUnaryData<HealthCheckResponse>) {
      done(
        null,
        HealthCheckResponse.fromPartial({
          status: HealthCheckResponse_Status.STATUS_SERVING,
          message: "serving",
          metrics: { uptimeSeconds: BigInt(Math.floor(process.uptime())) },
        }),
      );
    },
    executeDagPart(call: ServerWritableStream<ExecutionRequest, ExecutionResult>) {
      for (const task of read(call.request)) {
        print(report(task, call.request.execId));
        // No window, and of the algorithm only what names it: so old SDKs answer.
        call.write(
          ExecutionResult.fromPartial({
            execId: call.request.execId,
            algorithmResult: { algorithm: { name: task.name, version: task.version }, result: execute(task) },
          }),
        );
      }
      call.end();
    },
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}

function register(core: string, request: ProcessorRegistration): Promise<void> {
  const client = new OrcaCoreClient(core, credentials.createInsecure());
  return new Promise((resolve, reject) => {
    client.registerProcessor(request, new Metadata(), { deadline: Date.now() + 10_000 }, (error, status) => {
      client.close();
      if (error) reject(new Error(`register at the core at ${core}: ${error.details}`));
      else if (!status.received) reject(new Error(`the core did not take the registration: ${status.message}`));
      else resolve();
    });
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      core: { type: "string", default: process.env["ORCA_CORE"] ?? "" },
      name: { type: "string", default: "bare-nodejs" },
      fields: { type: "string", default: "new" },
    },
  });
  const readers = new Map([
    ["new", newFields],
    ["old", oldFields],
  ]);
  const read = readers.get(values.fields);
  if (read === undefined) throw new Error(`--fields is ${values.fields}; give new or old`);

  const server = new Server();
  server.addService(OrcaProcessorService, processor(read));
  const address = `127.0.0.1:${await listen(server)}`;
  const stopped = new Promise<void>((resolve) => {
    process.once("SIGTERM", () => server.tryShutdown(() => resolve()));
  });
  await register(values.core, registration(values.name, address));
  print({ listening: address });
  await stopped;
}

main().then(
  () => process.exit(0),
  (error: Error) => {
    console.error("processor:", error.message);
    process.exit(1);
  },
);
