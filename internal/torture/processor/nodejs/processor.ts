// A processor of a torture session, made with the TypeScript SDK: what main.go in the folder above is for Go. It reads the work
// from a file, and does not know when its connections were accepted, so that it is told nothing of that.
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";

import * as orca from "@orca-telemetry/sdk";

interface Back {
  readonly count: number;
  readonly span: string;
  readonly gapCount: number;
  readonly gapSpan: string;
}

interface Work {
  readonly processor: string;
  readonly name: string;
  readonly windowType: string;
  readonly needs: readonly { readonly processor: string; readonly name: string; readonly back: Back }[];
  readonly self: Back;
  readonly takes: string;
  readonly varies: string;
  readonly fails: number;
  readonly breaks: number;
}

interface Shared {
  readonly version: string;
  readonly rest: number;
  readonly types: readonly {
    readonly name: string;
    readonly fields: readonly {
      readonly name: string;
      readonly description: string;
      readonly filter: boolean;
      readonly noStore: boolean;
    }[];
  }[];
  readonly algorithms: readonly Work[];
}

/** What an algorithm is handed. */
interface Given {
  readonly inputs: readonly number[];
  readonly past: readonly string[];
}

const nothing: Given = { inputs: [], past: [] };

/** The FNV-1a hash of 64 bits over what an algorithm is and what it was handed. */
function mix(work: Work, n: number, given: Given): bigint {
  const numbers = Buffer.alloc(8 + 4 * given.inputs.length);
  numbers.writeBigUInt64BE(BigInt(n));
  for (const [i, input] of given.inputs.entries()) numbers.writeFloatBE(input, 8 + 4 * i);
  const past = given.past.map((rows) => `${rows}\n`).join("");
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.concat([Buffer.from(`${work.processor}/${work.name}`), numbers, Buffer.from(past)])) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}

/** How long the algorithm works on a window, in milliseconds. */
function lasts(work: Work, n: number): number {
  const [takes, varies] = [BigInt(work.takes), BigInt(work.varies)];
  return Number(varies === 0n ? takes : takes + (mix(work, n, nothing) % varies)) / 1e6;
}

/** The metadata of the window with a number. */
function fieldsOf(n: number): Record<string, unknown> {
  const line = `never-on-disk-line-${Math.trunc(n / 3) % 2}`;
  return { n, asset: assetOf(n), line, secret: `never-on-disk-secret-${n}` };
}

function assetOf(n: number): string {
  return `machine-${Math.trunc(n / 300)}-${n % 3}`;
}

function typeOf(n: number): string {
  if (n % 10 === 4) return "Crate";
  return n % 10 === 9 ? "Shift" : "Piece";
}

/** Says whether metadata are these fields and no others. */
function same(metadata: orca.PlainObject, fields: Record<string, unknown>): boolean {
  const names = Object.keys(fields);
  return Object.keys(metadata).length === names.length && names.every((name) => metadata[name] === fields[name]);
}

/** Writes down past rows. A window that is not as it was emitted, or has what is not stored, is said to be so. */
function texts(rows: orca.Rows<number>): string {
  return rows
    .toArray()
    .map(({ window, value }) => {
      const bits = Buffer.alloc(4);
      bits.writeFloatBE(value);
      const n = Number(window.metadata["n"]);
      const from = BigInt(Date.UTC(2026, 0, 1) + 1000 * n) * 1_000_000n;
      const good =
        window.timeFrom === from &&
        window.timeTo === from + 1_000_000_000n &&
        window.type.name === typeOf(n) &&
        same(window.metadata, { n, asset: assetOf(n) });
      return `${window.origin}:${bits.toString("hex")}${good ? "" : `(spoilt: ${window})`}`;
    })
    .join(" ");
}

/** Where it is written down what is executed, a line with each write. */
class Journal {
  #calls = 0;
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "ax", 0o600);
  }

  /** Writes down that an execution begins, not before it does: the clock has milliseconds. */
  begin(work: Work, run: orca.Run, n: number, given: Given): number {
    const call = ++this.#calls;
    const { origin } = run.window;
    const algorithm = { Processor: work.processor, Name: work.name };
    const said = JSON.stringify({ call, origin, n, algorithm, ...given });
    this.#write(`${said.slice(0, -1)},"at":${Date.now() + 1}000000}`);
    return call;
  }

  /** Writes down that a call has its result. */
  end(call: number): void {
    this.#write(`{"call":${call},"end":true,"at":${Date.now()}000000}`);
  }

  #write(line: string): void {
    try {
      writeSync(this.#file, `${line}\n`);
    } catch (error) {
      console.error("journal:", error); // what is executed would not be known
      process.exit(1);
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}

function gapOf(back: Back): orca.GapOptions {
  if (back.gapCount > 0) return { gap: back.gapCount };
  return back.gapSpan === "0" ? {} : { gap: BigInt(back.gapSpan) };
}

function selfOf(back: Back): orca.Lookback {
  return back.span === "0" ? orca.last(back.count, gapOf(back)) : orca.over(BigInt(back.span), gapOf(back));
}

function needOf(algorithm: orca.Algorithm<number>, back: Back): orca.Dependency<number> {
  if (back.span !== "0") return algorithm.over(BigInt(back.span), gapOf(back));
  return back.count > 0 ? algorithm.last(back.count, gapOf(back)) : algorithm.newest(gapOf(back));
}

function given(run: orca.Run<number>, needs: readonly orca.Dependency<number>[]): Given {
  const inputs = needs.map((need) => run.get(need));
  return {
    inputs: inputs.flatMap(({ current }) => (current === undefined ? [] : [current.value])),
    past: [...inputs.map(({ past }) => texts(past)), texts(run.own)],
  };
}

function define(processor: orca.Processor, shared: Shared, journal: Journal): void {
  const types = new Map(
    shared.types.map(({ name, fields }) => {
      const declared = fields.map(({ name, ...options }) => orca.field(name, undefined, options));
      return [name, new orca.WindowType(name, shared.version, { description: name, fields: declared })];
    }),
  );
  for (const work of shared.algorithms) {
    const on = types.get(work.windowType);
    if (work.processor !== processor.name || on === undefined) continue;
    const needs = work.needs.map((need) =>
      needOf(orca.remote(need.processor, need.name, shared.version, orca.value), need.back),
    );
    const description = `${work.processor}/${work.name}`;
    const options = { result: orca.value, needs, needsSelf: selfOf(work.self), description };
    processor.algorithm(work.name, shared.version, on, options, async (run) => {
      const n = Number(run.window.metadata["n"]);
      if (!same(run.window.metadata, fieldsOf(n))) {
        throw new Error(`the window has the metadata ${JSON.stringify(run.window.metadata)}, want that of number ${n}`);
      }
      const handed = given(run, needs);
      const call = journal.begin(work, run, n, handed);
      await delay(lasts(work, n), undefined, { signal: run.signal });
      journal.end(call);
      if (work.breaks > 0 && n % work.breaks === shared.rest) throw new Error(`${description} broke`);
      if (work.fails > 0 && n % work.fails === shared.rest) throw new orca.Failure(`${description} does not fit`);
      return Number(mix(work, n, handed) >> 40n);
    });
  }
}

const text = { type: "string", default: "" } as const;
const { values: flags } = parseArgs({
  options: { processor: text, core: text, listen: text, journal: text, work: text },
});
const shared = JSON.parse(readFileSync(flags.work, "utf8")) as Shared;
const journal = new Journal(flags.journal);

/** Listens where it is told to, or at any port when somebody else has that meanwhile. */
async function start(listen: string): Promise<orca.Session> {
  const processor = new orca.Processor(flags.processor, { core: flags.core, listen, environment: false });
  define(processor, shared, journal);
  return await processor.start();
}

const stopped = new Promise<void>((resolve) => {
  process.once("SIGTERM", resolve);
  process.stdin.on("end", resolve).resume(); // ends with the process at the other end of it
});
const session = await start(flags.listen).catch(() => start(flags.listen.replace(/:\d+$/, ":0")));
console.log(`listening ${session.address}`);
session.registered().then(
  () => console.log("registered"),
  () => undefined, // it was stopped before, or finished tells
);
await Promise.race([stopped, session.finished()]);
await session.stop();
journal.close();
process.stdin.destroy();
