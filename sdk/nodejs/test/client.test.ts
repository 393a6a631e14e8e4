// The client, and what keeps a processor registered, beside a scripted core.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Metadata, status } from "@grpc/grpc-js";
import { Announcer } from "../src/announce.js";
import { Bell } from "../src/bell.js";
import { Connection } from "../src/connection.js";
import { Client, type ClientOptions, type Logger, Processor, WindowType } from "../src/index.js";
import { codeOf, Pauses } from "../src/retry.js";
import { look, resolveCore } from "../src/settings.js";
import { FakeCore, type Refusal, type Script } from "./fakecore.js";
import { windowOn } from "./windows.js";

const lap = new WindowType("Lap", "1.0.0");
const window = windowOn(lap, 1, 2);
const quiet: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

async function clientOf(t: TestContext, script: Script, options: ClientOptions = {}) {
  const core = await FakeCore.start(t, script);
  const client = new Client({ core: core.address, environment: false, log: quiet, ...options });
  t.after(() => client.close());
  return { core, client };
}

test("an emit is repeated under its key until it is taken", async (t) => {
  const refusals: Refusal[] = [
    { code: status.UNAVAILABLE, details: "away" },
    { code: status.RESOURCE_EXHAUSTED, details: "busy", metadata: retryInfo(10) },
  ];
  const { core, client } = await clientOf(t, { emit: () => refusals.shift() ?? { status: 2 } }, { token: "secret" });
  const emission = await client.emit(window);
  assert.deepStrictEqual(emission, { windowId: "w-3", status: "processing triggered" });
  const [first, ...others] = core.emits;
  assert.match(first?.key ?? "", /^[0-9a-f]{12}-[0-9a-f]{32}$/);
  assert.deepStrictEqual(
    others.map(({ key, token }) => [key, token]),
    [
      [first?.key, "Bearer secret"],
      [first?.key, "Bearer secret"],
    ],
  );
  await client.emit(window, { idempotencyKey: "mine" });
  assert.equal(core.emits[3]?.key, "mine");
});

for (const [code, name] of [
  [status.INVALID_ARGUMENT, "InvalidError"],
  [status.NOT_FOUND, "NotFoundError"],
  [status.ALREADY_EXISTS, "ConflictError"],
  [status.FAILED_PRECONDITION, "ConflictError"],
  [status.UNAUTHENTICATED, "UnauthorizedError"],
  [status.INTERNAL, "OrcaError"],
] as const) {
  test(`${status[code]} is not repeated`, async (t) => {
    const { core, client } = await clientOf(t, { emit: () => ({ code, details: "the words" }) });
    const call = { op: "emit window Lap 1.0.0", core: core.address, attempts: 1, code: status[code] };
    await assert.rejects(client.emit(window), { name, call, message: /^emit window Lap 1.0.0 at 127.*: the words/ });
    assert.equal(core.emits.length, 1);
  });
}

test("an emit is given up in the end, and says what was last said", async (t) => {
  const { client } = await clientOf(t, { emit: () => ({ code: status.UNAVAILABLE, details: "away" }) });
  const words = /: away \(after \d+ attempts\); is a core running there\?$/;
  await assert.rejects(client.emit(window, { timeout: "300ms" }), { name: "UnavailableError", message: words });
});

test("a signal ends a call and a wait", async (t) => {
  const asked = new Bell();
  const { client } = await clientOf(t, {
    emit: () => {
      asked.ring();
      return "no answer";
    },
  });
  const ending = new AbortController();
  const emitting = client.emit(window, { signal: ending.signal });
  await Bell.first([asked], 60_000, new AbortController().signal);
  ending.abort(new Error("enough"));
  await assert.rejects(emitting, /^Error: enough$/);
  await assert.rejects(client.wait("w-1", { signal: ending.signal }), /^Error: enough$/);
});

test("a closed client says so", async (t) => {
  const { client } = await clientOf(t, {});
  client.close();
  await assert.rejects(client.emit(window), { name: "InvalidError", message: "the client is closed" });
});

test("pauses grow, with jitter between half and all", () => {
  const pauses = new Pauses(50, 5000);
  const [least, most] = [0, 1].map((jitter) => [1, 2, 3, 7, 8, 9, 2000].map((n) => pauses.pause(n, jitter)));
  assert.deepStrictEqual(least, [25, 50, 100, 1600, 2500, 2500, 2500]);
  assert.deepStrictEqual(most, [50, 100, 200, 3200, 5000, 5000, 5000]);
});

/** The metadata in which a server asks to be left alone for so many milliseconds. */
function retryInfo(milliseconds: number): Metadata {
  const seconds = Math.floor(milliseconds / 1000);
  const delay = new BinaryWriter()
    .tag(1, 0)
    .int64(BigInt(seconds))
    .tag(2, 0)
    .int32((milliseconds % 1000) * 1e6);
  const info = new BinaryWriter().tag(1, 2).bytes(delay.finish()).finish();
  const any = new BinaryWriter().tag(1, 2).string("type.googleapis.com/google.rpc.RetryInfo").tag(2, 2).bytes(info);
  const message = new BinaryWriter().tag(1, 0).int32(8).tag(3, 2).bytes(any.finish()).finish();
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(message));
  return metadata;
}

test("a server's wish comes before the own pauses", () => {
  const refusal = (metadata: Metadata) => Object.assign(new Error(), { code: 8, details: "busy", metadata });
  const pauses = new Pauses(1, 1);
  const asked = pauses.after(1, refusal(retryInfo(1234)));
  assert.ok(asked >= 1234 && asked <= 1235, String(asked));
  const broken = new Metadata();
  broken.set("grpc-status-details-bin", Buffer.from([0xff, 0xff]));
  assert.ok(pauses.after(1, refusal(broken)) <= 1);
  assert.equal(codeOf(refusal(broken)), "RESOURCE_EXHAUSTED");
});

test("a processor registers until the core is there, and is refused for good", async (t) => {
  const answers: Refusal[] = [
    { code: status.UNAVAILABLE, details: "later" },
    { code: status.FAILED_PRECONDITION, details: "bump the version" },
  ];
  const content = { received: true, message: "" };
  const core = await FakeCore.start(t, { register: () => answers.shift() ?? content });
  const options = { core: core.address, listen: "127.0.0.1:0", environment: false, log: quiet };
  const session = await new Processor("racing", options).start();
  t.after(() => session.stop());
  const refused = {
    name: "ConflictError",
    message: /^register processor racing at .*: bump the version \(after 2 attempts\)$/,
  };
  await assert.rejects(session.registered(), refused);
  await assert.rejects(session.finished(), refused);
});

test("a processor that is stopped before a core has accepted it says so", async (t) => {
  const core = await FakeCore.start(t, { register: () => ({ code: status.UNAVAILABLE, details: "later" }) });
  const options = { core: core.address, listen: "127.0.0.1:0", environment: false, log: quiet };
  const session = await new Processor("racing", options).start();
  const registered = session.registered();
  await session.stop();
  await assert.rejects(registered, /processor racing was stopped before a core had accepted it/);
  await session.finished();
});

/** An announcer beside a scripted core, which is asked when it is silent for a moment. */
async function announce(t: TestContext, script: Script, silence: number) {
  const core = await FakeCore.start(t, script);
  const connection = new Connection(resolveCore({ core: core.address }, look(false)));
  const [heard, accepted] = [new Bell(), new Bell()];
  const registration = {
    name: "racing",
    runtime: "node20",
    connectionStr: "127.0.0.1:5377",
    supportedAlgorithms: [],
    projectName: "",
  };
  const starting = () => {};
  const ring = () => accepted.ring();
  const announcer = new Announcer({ registration, connection, log: quiet, heard, starting, accepted: ring, silence });
  const stop = new AbortController();
  const running = announcer.run(stop.signal);
  t.after(async () => {
    stop.abort();
    connection.close();
    await running;
  });
  const wait = async () => {
    await Bell.first([accepted], 60_000, stop.signal);
    accepted.silence();
  };
  await wait();
  return { core, wait };
}

test("a core that has forgotten a processor is told again", async (t) => {
  const { core, wait } = await announce(t, {}, 20); // it knows nobody, and no heartbeat comes
  await wait();
  assert.ok(core.registrations.length >= 2 && core.asked >= 1);
});

test("a core that comes back without its store is told again, however long its silence may be", async (t) => {
  const { core, wait } = await announce(t, {}, 3_600_000);
  core.stop();
  await core.start();
  await wait();
  assert.ok(core.registrations.length >= 2);
});
