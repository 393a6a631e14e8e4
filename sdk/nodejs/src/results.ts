// What an algorithm gives, and its form on the wire.

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type Result, ResultStatus, ResultType } from "./contract/service.js";
import { InvalidError } from "./errors.js";
import { quoted } from "./names.js";
import { isNumbers, type Plain, type PlainObject, readStruct, writeStruct } from "./values.js";

export const maxMessageBytes = 64 << 20;
const maxResultBytes = maxMessageBytes - (1 << 20); // leaves room for what travels with a result

type Data = Result["resultData"];

/**
 * A kind of result: `T` is what readers get, `Given` what an algorithm may return. They are `value`, `array`, `none`, and
 * what `struct` makes.
 */
export interface Kind<T, Given = T> {
  /** For people: "a value". */
  readonly name: string;
  /** What is announced. */
  readonly type: ResultType;
  /** Writes what an algorithm returned, or throws InvalidError. */
  readonly write: (given: Given) => Data;
  /** Reads what was sent, or throws InvalidError when it is of another kind. */
  readonly read: (data: Data) => T;
}

/** One number, a 32-bit float on the wire. A number that it cannot hold is a failure, not infinity. */
export const value: Kind<number> = {
  name: "a value (a number)",
  type: ResultType.VALUE,
  write: writeValue,
  read: (data) => (data?.$case === "singleValue" ? data.value : refuse(data, "a value (a number)")),
};

/** 32-bit floats, possibly none: any array of numbers, which is read as a Float32Array. */
export const array: Kind<Float32Array, ArrayLike<number>> = {
  name: "an array (of numbers)",
  type: ResultType.ARRAY,
  write: writeArray,
  read: (data) => (data?.$case === "floatValues" ? readFloats(data.value) : refuse(data, "an array (of numbers)")),
};

/** That it succeeded. */
// biome-ignore lint/suspicious/noConfusingVoidType: an async function without a return gives a Promise<void>
export const none: Kind<undefined, undefined | void> = {
  name: "nothing",
  type: ResultType.NONE,
  write: (given) => (given === undefined || given === null ? undefined : refuseGiven(given, "nothing")),
  read: () => undefined,
};

/** What can be sent of a type: what is not plain in it, such as a Date, a function or a bigint, becomes `never`. What is unknown is checked when it is sent. */
export type Sendable<T> = unknown extends T
  ? T
  : T extends Plain | undefined
    ? T
    : T extends object
      ? T extends Unsendable
        ? never
        : { [K in keyof T]: Sendable<T[K]> }
      : never;

type Unsendable =
  | Date
  | ((...args: never[]) => unknown)
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | Promise<unknown>;

/**
 * An object of plain values, whose numbers are 64-bit floats: `struct<Report>()`.
 *
 * TypeScript checks what algorithms return. What is read is believed to be of that type, unless `parse` makes sure:
 * `struct(schema.parse)`.
 */
export function struct<T extends { readonly [K in keyof T]: Sendable<T[K]> } = PlainObject>(
  parse?: (plain: PlainObject) => T,
): Kind<T> {
  const name = "a struct (an object)";
  return {
    name,
    type: ResultType.STRUCT,
    write: (given) => writeObject(given),
    read: (data) => {
      if (data?.$case !== "structValue") return refuse(data, name);
      const plain = readStruct(data.value);
      return parse === undefined ? (plain as unknown as T) : parse(plain);
    },
  };
}

/** Whatever it is: a number, a Float32Array, an object or undefined. For algorithms of other processors. */
export type AnyResult = number | Float32Array | PlainObject | undefined;

/** Reads whatever it is, and writes what a value is by itself. */
export const any: Kind<AnyResult, unknown> = {
  name: "any result",
  type: ResultType.NOT_SPECIFIED,
  write: (given) => kindOf(given).write(given),
  read: readAny,
};

/** Reads a result, whatever it is. */
export function readAny(data: Data): AnyResult {
  switch (data?.$case) {
    case "singleValue":
      return data.value;
    case "floatValues":
      return readFloats(data.value);
    case "structValue":
      return readStruct(data.value);
    default:
      return undefined;
  }
}

/** Gives the kind of result that something is by itself. */
function kindOf(given: unknown): Kind<unknown, unknown> {
  const kinds = { value, array, none, struct: struct() } as unknown as Record<string, Kind<unknown, unknown>>;
  const named = (name: string) => kinds[name] as Kind<unknown, unknown>;
  if (given === undefined || given === null) return named("none");
  if (typeof given === "object") return Array.isArray(given) || isNumbers(given) ? named("array") : named("struct");
  return named("value");
}

/** Makes a succeeded result, or throws InvalidError saying why what was returned cannot be one. */
export function encode<Given>(kind: Kind<unknown, Given>, given: Given): Result {
  let data: Data;
  try {
    data = kind.write(given);
  } catch (error) {
    throw error instanceof InvalidError ? new InvalidError(`result: ${error.message}`) : error;
  }
  if (data !== undefined && data.$case !== "singleValue") checkSize(data.value);
  return {
    status: ResultStatus.RESULT_STATUS_SUCEEDED,
    resultData: data,
    timestamp: BigInt(Math.floor(Date.now() / 1000)),
    error: empty,
  };
}

const empty = /* @__PURE__ */ new Uint8Array(0);

function checkSize(bytes: Uint8Array | undefined): void {
  const size = bytes?.length ?? 0;
  if (size > maxResultBytes) {
    throw new InvalidError(`result: ${size} bytes long, at most ${maxResultBytes} are allowed`);
  }
}

function writeValue(given: number): Data {
  if (typeof given !== "number") return refuseGiven(given, "a number");
  if (!fits(given)) {
    throw new InvalidError(`${given} does not fit the 32-bit float that the contract has for values`);
  }
  return { $case: "singleValue", value: Math.fround(given) }; // as it comes back
}

/** Says whether a number stays one as a 32-bit float, if less exact: it does not become infinite. */
function fits(number: number): boolean {
  return !Number.isFinite(number) || Number.isFinite(Math.fround(number));
}

// A FloatArray is one field of packed 32-bit floats, so its bytes are written and read as a block.
const packedFloats = 0x0a;
const littleEndian = /* @__PURE__ */ new Uint8Array(/* @__PURE__ */ new Uint16Array([1]).buffer)[0] === 1;

function writeArray(given: ArrayLike<number>): Data {
  if (typeof given !== "object" || given === null || !(Array.isArray(given) || isNumbers(given))) {
    return refuseGiven(given, "an array of numbers");
  }
  if (given.length === 0) return { $case: "floatValues", value: empty };
  const floats = singles(given);
  const size = 4 * floats.length;
  const header = [packedFloats];
  let rest = size;
  for (; rest > 0x7f; rest >>>= 7) header.push((rest & 0x7f) | 0x80);
  header.push(rest);
  const bytes = new Uint8Array(header.length + size);
  bytes.set(header);
  bytes.set(wireOrder(new Uint8Array(floats.buffer, floats.byteOffset, size)), header.length);
  return { $case: "floatValues", value: bytes };
}

function singles(given: ArrayLike<number>): Float32Array {
  if (given instanceof Float32Array) return given;
  const floats = new Float32Array(given.length);
  for (let at = 0; at < given.length; at++) {
    const number = given[at];
    if (typeof number !== "number") {
      throw new InvalidError(`element ${at}: ${quoted(number)} is a ${typeof number}, not a number`);
    }
    if (!fits(number)) {
      throw new InvalidError(
        `element ${at}: ${number} does not fit the 32-bit floats that the contract has for arrays`,
      );
    }
    floats[at] = number;
  }
  return floats;
}

/** Turns the bytes of floats of this machine into those of the wire, or back. */
function wireOrder(bytes: Uint8Array): Uint8Array {
  return littleEndian ? bytes : new Uint8Array(Buffer.from(bytes).swap32());
}

function readFloats(message: Uint8Array): Float32Array {
  if (message.length === 0) return new Float32Array(0);
  const [size, begin] = readLength(message, 1);
  if (message[0] === packedFloats && begin + size === message.length) return block(message.subarray(begin));
  return Float32Array.from(readParts(message));
}

/** Reads the floats of an array that came in several parts, or one by one, which is allowed. */
function readParts(message: Uint8Array): number[] {
  const floats: number[] = [];
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.LengthDelimited) floats.push(...block(reader.bytes()));
    else if (field === 1 && type === WireType.Bit32) floats.push(reader.float());
    else reader.skip(type, field);
  }
  return floats;
}

function block(bytes: Uint8Array): Float32Array {
  if (bytes.length % 4 !== 0) throw new InvalidError("the result is an array that cannot be read");
  const own = new Uint8Array(wireOrder(bytes)); // a copy that begins at the beginning of its memory
  return new Float32Array(own.buffer);
}

function readLength(message: Uint8Array, from: number): [size: number, begin: number] {
  let size = 0;
  let at = from;
  for (let shift = 0; ; shift += 7) {
    const byte = message[at++] ?? 0;
    size += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [size, at];
  }
}

function writeObject(given: unknown): Data {
  if (typeof given !== "object" || given === null || Array.isArray(given) || isNumbers(given)) {
    return refuseGiven(given, "an object");
  }
  return { $case: "structValue", value: writeStruct(given) };
}

function refuseGiven(given: unknown, want: string): never {
  throw new InvalidError(`${quoted(given)} was returned, and the algorithm announced ${want}`);
}

function refuse(data: Data, want: string): never {
  const names = { singleValue: "a value", floatValues: "an array", structValue: "a struct" };
  throw new InvalidError(`the result is ${data === undefined ? "without data" : names[data.$case]}, not ${want}`);
}
