// The test processor of the TypeScript SDK: it is what its script says. README.md of conformance has the rules.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import {
  array,
  type Dependency,
  Failure,
  field,
  type GapOptions,
  type Kind,
  type Lookback,
  last,
  type Need,
  none,
  over,
  type Plain,
  Processor,
  type Row,
  type Rows,
  type Run,
  remote,
  struct,
  value,
  Window,
  WindowType,
} from "@orca-telemetry/sdk";

// What the script says.

interface Back {
  readonly count: number;
  readonly span: string;
  readonly gap_count: number;
  readonly gap_span: string;
}

interface ScriptWindow {
  readonly type: string;
  readonly version: string;
  readonly from: string;
  readonly to: string;
  readonly origin: string;
  readonly metadata: Fields;
}

interface Steps {
  readonly mark: string;
  readonly await: string;
  readonly tell: true;
  readonly emit: ScriptWindow;
  readonly give: Data;
  readonly give_field: string;
  readonly fail: { readonly reason: string; readonly details?: Fields };
  readonly break: string;
  readonly panic: string;
  readonly silent: true;
}
type Step = Partial<Steps>;

interface ScriptAlgorithm {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly result: "value" | "array" | "struct" | "none";
  readonly window_type: {
    readonly name: string;
    readonly version: string;
    readonly description: string;
    readonly fields: readonly {
      readonly name: string;
      readonly description: string;
      readonly filter: boolean;
      readonly no_store: boolean;
    }[];
  };
  readonly needs: readonly (Back & { readonly processor: string; readonly name: string; readonly version: string })[];
  readonly self: Back;
  readonly do: readonly Step[];
  readonly plays: Readonly<Record<string, readonly Step[]>>;
}

interface Script {
  readonly processor: string;
  readonly dir: string;
  readonly algorithms: readonly ScriptAlgorithm[];
}

// Data, to the bit.

interface Data {
  readonly value?: string;
  readonly array?: string;
  readonly struct?: Fields;
}
type Tagged = null | boolean | string | readonly Tagged[] | { readonly number: string } | { readonly fields: Fields };
interface Fields {
  readonly [name: string]: Tagged;
}

function floats(text: string): Float32Array {
  const bytes = Buffer.from(text, "hex");
  return Float32Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatBE(4 * at));
}

function bits(values: Iterable<number>): string {
  return [...values]
    .map((float) => {
      const bytes = Buffer.alloc(4);
      bytes.writeFloatBE(float);
      return bytes.toString("hex");
    })
    .join("");
}

function plain(tagged: Tagged): Plain {
  if (typeof tagged !== "object" || tagged === null) return tagged;
  if ("number" in tagged) return Buffer.from(tagged.number, "hex").readDoubleBE();
  if ("fields" in tagged) return plainFields(tagged.fields);
  return tagged.map(plain);
}

function plainFields(fields: Fields): Record<string, Plain> {
  return Object.fromEntries(Object.entries(fields).map(([name, tagged]) => [name, plain(tagged)]));
}

function tag(value: Plain): Tagged {
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return { number: bytes.toString("hex") };
  }
  if (typeof value !== "object" || value === null) return value;
  return isList(value) ? value.map(tag) : { fields: tagFields(value) };
}

function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value);
}

function tagFields(fields: Readonly<Record<string, Plain>>): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, tag(value)]));
}

function read(data: Data): unknown {
  if (data.value !== undefined) return floats(data.value)[0];
  if (data.array !== undefined) return floats(data.array);
  return data.struct === undefined ? undefined : plainFields(data.struct);
}

function written(value: unknown): Data {
  if (typeof value === "number") return { value: bits([value]) };
  if (value instanceof Float32Array) return { array: bits(value) };
  return value === undefined ? {} : { struct: tagFields(value as Record<string, Plain>) };
}

function writtenWindow({ type, timeFrom, timeTo, origin, metadata }: Window): ScriptWindow {
  const [from, to] = [String(timeFrom), String(timeTo)];
  return { type: type.name, version: type.version, from, to, origin, metadata: tagFields(metadata) };
}

function writtenRows(rows: Rows<unknown>): (Data & { window: ScriptWindow })[] {
  return rows.toArray().map((row: Row<unknown>) => ({ window: writtenWindow(row.window), ...written(row.value) }));
}

// What an algorithm does.

class Unsupported extends Error {}

class Player {
  constructor(
    private readonly script: ScriptAlgorithm,
    private readonly folder: string,
    private readonly needs: readonly Need[],
  ) {}

  async play(run: Run): Promise<unknown> {
    const play = run.window.metadata["play"];
    const steps = (typeof play === "string" ? this.script.plays[play] : undefined) ?? this.script.do;
    for (const step of steps) {
      if (step.mark !== undefined) this.mark(step.mark);
      else if (step.await !== undefined) await this.await(run, step.await);
      else if (step.tell !== undefined) this.tell(run);
      else if (step.emit !== undefined) await this.emit(run, step.emit);
      else return this.end(run, step);
    }
    return undefined;
  }

  private end(run: Run, step: Step): unknown {
    if (step.give !== undefined) return read(step.give);
    if (step.give_field !== undefined) return run.window.metadata[step.give_field];
    if (step.fail !== undefined) throw new Failure(step.fail.reason, plainFields(step.fail.details ?? {}));
    if (step.break !== undefined) throw new Error(step.break);
    if (step.panic !== undefined) throw new RangeError(step.panic);
    throw new Error(`the step ${JSON.stringify(step)} is not known`);
  }

  private mark(name: string): void {
    writeFileSync(join(this.folder, name), "");
  }

  private async await(run: Run, name: string): Promise<void> {
    while (!existsSync(join(this.folder, name))) {
      if (run.signal.aborted) {
        this.mark("cancelled");
        throw new Error("cancelled");
      }
      await delay(10);
    }
  }

  private tell(run: Run): void {
    const told = {
      algorithm: this.script.name,
      window: writtenWindow(run.window),
      needs: this.needs.map((need) => writtenRows(run.get(need))),
      self: writtenRows(run.own),
    };
    appendFileSync(join(this.folder, "told"), `${JSON.stringify(told)}\n`);
  }

  private async emit(run: Run, window: ScriptWindow): Promise<void> {
    const { origin } = window;
    const on = new WindowType(window.type, window.version);
    const metadata = plainFields(window.metadata);
    await run.emit(new Window(on, BigInt(window.from), BigInt(window.to), { origin, metadata }));
  }
}

// The script, in the SDK's words.

const kinds: Readonly<Record<ScriptAlgorithm["result"], Kind<unknown, never>>> = {
  value,
  array,
  struct: struct(),
  none,
};

function gapOf(back: Back): GapOptions {
  if (back.gap_count > 0) return { gap: back.gap_count };
  return back.gap_span === "0" ? {} : { gap: `${back.gap_span}ns` };
}

function selfOf(back: Back): Lookback | undefined {
  if (back.count > 0) return last(back.count, gapOf(back));
  return back.span === "0" ? undefined : over(`${back.span}ns`, gapOf(back));
}

function needOf(need: ScriptAlgorithm["needs"][number]): Dependency<unknown> {
  const algorithm = remote(need.processor, need.name, need.version);
  if (need.count > 0) return algorithm.last(need.count, gapOf(need));
  return need.span === "0" ? algorithm.newest(gapOf(need)) : algorithm.over(`${need.span}ns`, gapOf(need));
}

function define(processor: Processor, script: ScriptAlgorithm, folder: string): void {
  const steps = [script.do, ...Object.values(script.plays)].flat();
  if (steps.some((step) => step.silent)) throw new Unsupported("an algorithm without a result");
  const { name, version, description, fields } = script.window_type;
  const on = new WindowType(name, version, {
    description,
    fields: fields.map((f) =>
      field(f.name, undefined, { description: f.description, filter: f.filter, noStore: f.no_store }),
    ),
  });
  const needs = script.needs.map(needOf);
  const needsSelf = selfOf(script.self);
  const player = new Player(script, folder, needs);
  // Which kind it is, and what is given, is known when the script is read.
  processor.algorithm<unknown, never>(
    script.name,
    script.version,
    on,
    {
      result: kinds[script.result],
      needs,
      description: script.description,
      ...(needsSelf === undefined ? {} : { needsSelf }),
    },
    (run) => player.play(run) as Promise<never>,
  );
}

async function main(): Promise<void> {
  const script = JSON.parse(readFileSync(process.env["ORCA_CONFORMANCE_SCRIPT"] ?? "", "utf8")) as Script;
  const processor = new Processor(script.processor);
  try {
    for (const algorithm of script.algorithms) define(processor, algorithm, script.dir);
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    console.error(`unsupported: ${error.message}`);
    process.exitCode = 3;
    return;
  }
  const session = await processor.start();
  const stopped = new Promise<void>((resolve) => process.once("SIGTERM", resolve));
  session.registered().then(
    () => console.log("registered"),
    (error) => {
      console.error("processor:", error);
      process.exit(1);
    },
  );
  await stopped;
  await session.stop();
}

await main();
