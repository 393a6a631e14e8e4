// The processor of the shape single for `orca bench --processor`, made from the generated stubs alone: what the TypeScript SDK
// is compared with.
import { writeSync } from "node:fs";
import { parseArgs } from "node:util";

import { credentials, Metadata, Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import {
  type ExecutionRequest,
  ExecutionResult,
  HealthCheckResponse,
  HealthCheckResponse_Status,
  OrcaCoreClient,
  OrcaProcessorService,
  type OrcaProcessorServer,
  ProcessorRegistration,
  ResultStatus,
  ResultType,
} from "@orca-telemetry/contract";

const epoch = 1_577_836_800n; // when window 0 begins, in seconds: every window is a second
const registered = 0xffffffff;

// Tells whoever started this what was done, and when.
function report(window: bigint, node: number): void {
  const record = Buffer.alloc(20);
  record.writeBigInt64LE(window, 0);
  record.writeUInt32LE(node, 8);
  record.writeBigInt64LE(BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6)), 12);
  writeSync(1, record);
}

const processor: OrcaProcessorServer = {
  healthCheck(_, done) {
    done(null, HealthCheckResponse.fromPartial({ status: HealthCheckResponse_Status.STATUS_SERVING }));
  },
  executeDagPart(call: ServerWritableStream<ExecutionRequest, ExecutionResult>) {
    for (const { algorithm } of call.request.algorithmExecutions) {
      report((call.request.window?.timeFrom?.seconds ?? 0n) - epoch, 0);
      call.write(
        ExecutionResult.fromPartial({
          execId: call.request.execId,
          algorithmResult: {
            algorithm: { name: algorithm?.name ?? "", version: algorithm?.version ?? "" },
            result: {
              status: ResultStatus.RESULT_STATUS_SUCEEDED,
              resultData: { $case: "singleValue", value: 1 },
              timestamp: BigInt(Math.floor(Date.now() / 1000)),
            },
          },
        }),
      );
    }
    call.end();
  },
};

const options = { core: { type: "string" }, shape: { type: "string" }, name: { type: "string" } } as const;
const { core = "", name = "" } = parseArgs({ options }).values;

const server = new Server();
server.addService(OrcaProcessorService, processor);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  const registration = ProcessorRegistration.fromPartial({
    name,
    runtime: `node ${process.version}`,
    connectionStr: `127.0.0.1:${port}`,
    supportedAlgorithms: [
      {
        name: "Single0",
        version: "1.0.0",
        windowType: {
          name: "Single",
          version: "1.0.0",
          description: "A second of one asset",
          metadataFields: [{ name: "asset", description: "The asset", filter: true }],
        },
        resultType: ResultType.VALUE,
        description: "One",
      },
    ],
  });
  const client = new OrcaCoreClient(core, credentials.createInsecure());
  client.registerProcessor(registration, new Metadata(), (refused) => {
    if (refused) throw refused;
    client.close();
    report(0n, registered);
  });
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
