import assert from "node:assert/strict";
import { test } from "node:test";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Result } from "../src/contract/service.js";
import { any, array, encode, type Kind, none, struct, value } from "../src/results.js";

/** Sends a result over the wire, and reads it. */
function round<T, Given>(kind: Kind<T, Given>, given: Given): T {
  const bytes = Result.encode(encode(kind, given)).finish();
  return kind.read(Result.decode(Buffer.from(bytes)).resultData);
}

test("values are 32-bit floats", () => {
  for (const number of [0, -0, 1.5, Infinity, -Infinity, Number.NaN, 1.401298464324817e-45]) {
    assert.ok(Object.is(round(value, number), number), String(number));
  }
  assert.equal(round(value, 0.1), Math.fround(0.1));
});

test("arrays are 32-bit floats, of any length", () => {
  for (const length of [0, 1, 31, 32, 4095, 4096, 100_000]) {
    const floats = Float32Array.from({ length }, (_, at) => at / 3);
    assert.deepStrictEqual(round(array, floats), floats);
  }
  assert.deepStrictEqual(round(array, [1, -0, Number.NaN]), Float32Array.of(1, -0, Number.NaN));
  assert.deepStrictEqual(round(array, Float64Array.of(0.1)), Float32Array.of(0.1));
  assert.deepStrictEqual(round(array, Float32Array.of(1, 2, 3).subarray(1)), Float32Array.of(2, 3));
});

test("arrays that came in parts or one by one are read", () => {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Bit32).float(1);
  writer.tag(1, WireType.LengthDelimited).fork().float(2).float(3).join();
  writer.tag(1, WireType.Bit32).float(4);
  assert.deepStrictEqual(array.read({ $case: "floatValues", value: writer.finish() }), Float32Array.of(1, 2, 3, 4));
});

test("structs and none", () => {
  assert.deepStrictEqual(round(struct<{ a: number[] }>(), { a: [1] }), { a: [1] });
  assert.deepStrictEqual(round(struct(), {}), {});
  assert.equal(round(none, undefined), undefined);
  const parsed = struct((plain) => ({ doubled: 2 * Number(plain["n"]) }));
  assert.deepStrictEqual(parsed.read(struct<{ n: number }>().write({ n: 2 })), { doubled: 4 });
});

test("any result is what it is", () => {
  for (const given of [1.5, Float32Array.of(1), { a: "b" }, undefined]) {
    assert.deepStrictEqual(round(any, given), given);
  }
});

const anyOf = (kind: unknown) => kind as Kind<unknown, unknown>;

for (const [name, kind, given, words] of [
  ["too large a value", value, 1e39, /^result: 1e\+39 does not fit the 32-bit float/],
  ["text for a value", value, "1", /^result: "1" was returned, and the algorithm announced a number$/],
  ["too large an element", array, [1, 1e39], /^result: element 1: 1e\+39 does not fit/],
  ["a bigint in an array", array, [1n], /^result: element 0: 1n is a bigint, not a number$/],
  ["a number for an array", array, 1, /^result: 1 was returned, and the algorithm announced an array of numbers$/],
  ["an array for a struct", struct(), [1], /^result: an object of Array was returned/],
  ["a value for none", none, 0, /^result: 0 was returned, and the algorithm announced nothing$/],
  ["a date in a struct", struct(), { at: new Date() }, /^result: field "at": an object of Date cannot be sent/],
] as const) {
  test(`${name} is refused`, () => {
    assert.throws(() => encode(anyOf(kind), given), { name: "InvalidError", message: words });
  });
}

test("a result of another kind is refused", () => {
  const number = { $case: "singleValue", value: 1 } as const;
  assert.throws(() => array.read(number), /the result is a value, not an array/);
  assert.throws(() => struct().read(undefined), /the result is without data, not a struct/);
});
