import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidError } from "../src/errors.js";
import { readStruct, writeStruct } from "../src/values.js";

const round = (value: object) => readStruct(writeStruct(value));

test("plain values come back as they were, to the bit", () => {
  const given = {
    "": "unnamed",
    __proto__x: null,
    deep: [[], [null, true, false, [1.5, { inner: [{}, -0] }]], ""],
    numbers: [0, -0, 0.1, 2 ** 53, 1e300, 5e-324, Infinity, -Infinity, Number.NaN],
    text: "\uFEFFnaïve \0 名 \u{1F680}",
  };
  assert.deepStrictEqual(round(given), given);
});

test("any name is a name", () => {
  const given = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2, "toString": null}');
  const read = round(given);
  assert.deepStrictEqual(Object.entries(read), [
    ["__proto__", { a: 1 }],
    ["constructor", 2],
    ["toString", null],
  ]);
});

test("fields come in the order of their names, and undefined ones stay away", () => {
  assert.deepStrictEqual(Object.entries(round({ b: 1, c: undefined, a: 2n })), [
    ["a", 2],
    ["b", 1],
  ]);
});

test("typed arrays are lists", () => {
  assert.deepStrictEqual(round({ list: Float64Array.of(1, 2) }), { list: [1, 2] });
});

const cyclic: Record<string, unknown> = {};
cyclic["self"] = cyclic;

for (const [name, value, words] of [
  ["a date", { when: new Date(0) }, /field "when": an object of Date cannot be sent/],
  ["a function", { f: () => 1 }, /field "f": function f cannot be sent/],
  ["a bigint that no float holds", { n: 2n ** 53n + 1n }, /field "n": number 9007199254740993 does not fit/],
  ["lone surrogates", { text: ["a", "\ud800"] }, /field "text": element 1: .* is not valid Unicode/],
  ["a name of lone surrogates", { "\ud800": 1 }, /its name is not valid Unicode/],
  ["an undefined element", { list: [undefined] }, /field "list": element 0: undefined cannot be sent/],
  ["what holds itself", cyclic, /nested more than 100 deep, or holds itself/],
] as const) {
  test(`${name} is refused, saying where`, () => {
    assert.throws(
      () => writeStruct(value),
      (error) => error instanceof InvalidError && words.test(error.message),
    );
  });
}
