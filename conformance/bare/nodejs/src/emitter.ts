// Emits one window with the generated stubs alone, as peers without our SDKs do. The README of conformance/bare says
// what the programs of all languages do; this one is the TypeScript one.
import { parseArgs } from "node:util";

import { credentials, Metadata } from "@grpc/grpc-js";
import { OrcaCoreClient, type Window, WindowEmitStatus_StatusEnum } from "@orca-telemetry/contract";
import type { Timestamp } from "@orca-telemetry/contract/google/protobuf/timestamp";

const { values } = parseArgs({
  options: {
    core: { type: "string", default: process.env["ORCA_CORE"] ?? "" },
    type: { type: "string", default: "Reading@1.0.0" },
    origin: { type: "string", default: "bare-nodejs" },
    from: { type: "string", default: "0" },
    to: { type: "string", default: "0" },
    metadata: { type: "string", default: "{}" },
  },
});

// Times are given in nanoseconds since the epoch.
function timestamp(nanoseconds: string): Timestamp {
  const n = BigInt(nanoseconds);
  return { seconds: n / 1_000_000_000n, nanos: Number(n % 1_000_000_000n) };
}

const [name = "", version = ""] = values.type.split("@");
const window: Window = {
  timeFrom: timestamp(values.from),
  timeTo: timestamp(values.to),
  windowTypeName: name,
  windowTypeVersion: version,
  origin: values.origin,
  metadata: JSON.parse(values.metadata),
};

const core = new OrcaCoreClient(values.core, credentials.createInsecure());
let id = "";
const call = core.emitWindow(window, new Metadata(), { deadline: Date.now() + 10_000 }, (error, answer) => {
  core.close();
  if (error) {
    console.log(JSON.stringify({ code: error.code, message: error.details }));
    process.exitCode = 1;
    return;
  }
  console.log(JSON.stringify({ status: WindowEmitStatus_StatusEnum[answer.status], windowId: id }));
});
call.on("metadata", (header) => {
  id = header.get("orca-window-id").join(",");
});
