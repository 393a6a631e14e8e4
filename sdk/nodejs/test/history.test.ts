// Random histories: a core in memory and a real one give the same rows.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Algorithm,
  Client,
  Failure,
  field,
  type Lookback,
  last,
  type Need,
  type Outcome,
  over,
  Processor,
  type Rows,
  struct,
  type Window,
  WindowType,
} from "../src/index.js";
import { Core } from "../src/testing/index.js";
import { needsCore, RealCore } from "./realcore.js";
import { secondsType, windowOn } from "./windows.js";

const minute = new WindowType("Minute", "1.0.0", { fields: [field("asset", undefined, { filter: true })] });
const hour = new WindowType("Hour", "1.0.0");

/** Gives numbers from 0 to 1 that depend on a seed alone. */
function random(seed: number): () => number {
  let state = seed + 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function choice<T>(rand: () => number, of: readonly T[]): T {
  return of[Math.floor(rand() * of.length)] as T;
}

/** Windows of three types and some assets, overlapping, late, twice, failing. */
function history(rand: () => number): Window[] {
  return Array.from({ length: 60 }, () => {
    const on = choice(rand, [secondsType, secondsType, secondsType, minute, hour]);
    const begin = Math.floor(rand() * 40) / 2;
    const end = begin + choice(rand, [0, 0.5, 1, 1, 1, 2]) * (on === secondsType ? 1 : 3);
    return windowOn(on, begin, end, choice(rand, ["a", "b", null, 1, true]), choice(rand, [null, null, null, "fail"]));
  });
}

interface Told {
  given: unknown[];
  own: unknown[];
  hash: string;
}

/** Algorithms on three types with random lookbacks, whose results tell all that they were given. */
function processors(rand: () => number, core: string): Processor[] {
  const options = { core, listen: "127.0.0.1:0", environment: false };
  const [one, two] = [new Processor("one", options), new Processor("two", options)];
  const back = (of: Algorithm<Told>): Need<Told> => {
    const gap = choice(rand, [undefined, undefined, 1, 2, "1ns", "1500ms"]);
    const gaps = gap === undefined ? {} : { gap };
    const kind = Math.floor(rand() * 3);
    if (kind === 0) return of.last(1 + Math.floor(rand() * 4), gaps);
    return kind === 1 ? of.over(choice(rand, ["1s", "2500ms", "8s"]), gaps) : of;
  };
  const define = (on: Processor, name: string, type: WindowType, needs: Need<Told>[], own?: Lookback) =>
    on.algorithm(
      name,
      "1.0.0",
      type,
      { result: struct<Told>(), needs, ...(own === undefined ? {} : { needsSelf: own }) },
      (run) => {
        if (run.window.metadata["secret"] === "fail" && name === "A") throw new Failure("asked for");
        const given = needs.map((need) => [told(run.get(need)), run.get(need).current !== undefined]);
        const before = told(run.own);
        return { given: plain(given), own: plain(before), hash: digest(JSON.stringify([given, before])) };
      },
    );
  const a = define(one, "A", secondsType, []);
  const b = define(two, "B", secondsType, [back(a)], last(2));
  const c = define(one, "C", minute, [back(a), back(b)], over("9s", { gap: 1 }));
  define(two, "D", hour, [back(a), back(c)]);
  define(one, "E", secondsType, [a.last(1), b, a.last(2, { gap: 1 })]);
  return [one, two];
}

function told(rows: Rows<Told>): unknown[] {
  return rows
    .toArray()
    .map(({ window, age, value }) => [
      String(window.timeFrom),
      String(window.timeTo),
      window.metadata["asset"] ?? null,
      String(age),
      value.hash,
    ]);
}

function plain(value: unknown[]): unknown[] {
  return JSON.parse(JSON.stringify(value)) as unknown[];
}

function digest(text: string): string {
  let hash = 7;
  for (const char of text) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) >>> 0;
  return String(hash);
}

function outcomeOf(outcome: Outcome): unknown[] {
  return outcome.nodes.map((node) => [String(node.algorithm), node.state, node.value, node.reason]).sort();
}

for (const seed of [0, 1, 2]) {
  test(`history ${seed} in memory is as a real core does it`, needsCore, async (t) => {
    const core = await RealCore.start(t);
    const made = processors(random(seed), core.address);
    const windows = history(random(100 + seed));
    const memory = new Core(...made);
    const want: unknown[][] = [];
    for (const window of windows) want.push(outcomeOf(await memory.emit(window)));

    const client = new Client({ core: core.address, environment: false });
    const sessions = await Promise.all(made.map((processor) => processor.start()));
    try {
      for (const session of sessions) await session.registered();
      const emissions = [];
      for (const window of windows) emissions.push(await client.emit(window));
      const got = await Promise.all(emissions.map(async (emission) => outcomeOf(await client.wait(emission))));
      assert.deepStrictEqual(got, want);
      assert.ok(JSON.stringify(want).length > 10_000, "the histories should say much");
    } finally {
      client.close();
      await Promise.all(sessions.map((session) => session.stop()));
    }
  });
}
