// Plain values as the contract's Struct and back: null, booleans, 64-bit floats, text, lists and objects.
//
// The generated messages leave a Struct as bytes, so that it is read when somebody looks at it, and to the bit: any key,
// any text, every number.

import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { InvalidError } from "./errors.js";
import { quoted } from "./names.js";

/** What metadata and struct results hold. */
export type Plain = null | boolean | number | string | readonly Plain[] | PlainObject;

/** An object of plain values. */
export interface PlainObject {
  readonly [name: string]: Plain;
}

const maxDepth = 100;

// Struct { map<string, Value> fields = 1 }, the map's entries are messages of key = 1 and value = 2.
// Value { null = 1, number = 2, string = 3, bool = 4, struct = 5, list = 6 }, ListValue { repeated Value values = 1 }.
const tag = (field: number, type: WireType): number => (field << 3) | type;
const delimited = (field: number): number => tag(field, WireType.LengthDelimited);

/** Writes an object as a Struct, or throws InvalidError saying which field cannot be sent. */
export function writeStruct(value: object): Uint8Array {
  const writer = new BinaryWriter();
  writeFields(value, writer, 0);
  return writer.finish();
}

function writeFields(value: object, writer: BinaryWriter, depth: number): void {
  if (depth > maxDepth) throw new InvalidError(`it is nested more than ${maxDepth} deep, or holds itself`);
  for (const [name, field] of Object.entries(value)) {
    if (field === undefined) continue; // as in JSON
    try {
      if (!name.isWellFormed()) throw new InvalidError("its name is not valid Unicode (lone surrogates)");
      writer.uint32(delimited(1)).fork();
      if (name !== "") writer.uint32(delimited(1)).string(name);
      writer.uint32(delimited(2)).fork();
      writeValue(field, writer, depth);
      writer.join().join();
    } catch (error) {
      throw error instanceof InvalidError ? new InvalidError(`field ${quoted(name)}: ${error.message}`) : error;
    }
  }
}

function writeValue(value: unknown, writer: BinaryWriter, depth: number): void {
  switch (typeof value) {
    case "number":
      writer.uint32(tag(2, WireType.Bit64)).double(value);
      return;
    case "string":
      if (!value.isWellFormed()) throw new InvalidError(`${shortened(value)} is not valid Unicode (lone surrogates)`);
      writer.uint32(delimited(3)).string(value);
      return;
    case "boolean":
      writer.uint32(tag(4, WireType.Varint)).bool(value);
      return;
    case "bigint":
      writer.uint32(tag(2, WireType.Bit64)).double(exact(value));
      return;
    case "object":
      writeObject(value, writer, depth);
      return;
    default:
      throw new InvalidError(
        `${shortened(value)} cannot be sent; send null, booleans, numbers, text, arrays or objects`,
      );
  }
}

function writeObject(value: object | null, writer: BinaryWriter, depth: number): void {
  if (value === null) {
    writer.uint32(tag(1, WireType.Varint)).int32(0);
  } else if (Array.isArray(value) || isNumbers(value)) {
    writer.uint32(delimited(6)).fork();
    writeList(value, writer, depth + 1);
    writer.join();
  } else if (isPlain(value)) {
    writer.uint32(delimited(5)).fork();
    writeFields(value, writer, depth + 1);
    writer.join();
  } else {
    throw new InvalidError(
      `${quoted(value)} cannot be sent; send null, booleans, numbers, text, arrays or plain objects`,
    );
  }
}

function writeList(values: Iterable<unknown>, writer: BinaryWriter, depth: number): void {
  if (depth > maxDepth) throw new InvalidError(`it is nested more than ${maxDepth} deep, or holds itself`);
  let at = 0;
  for (const value of values) {
    try {
      writer.uint32(delimited(1)).fork();
      writeValue(value, writer, depth);
      writer.join();
    } catch (error) {
      throw error instanceof InvalidError ? new InvalidError(`element ${at}: ${error.message}`) : error;
    }
    at++;
  }
}

/** Typed arrays of numbers. */
export function isNumbers(value: object): value is ArrayLike<number | bigint> & Iterable<number | bigint> {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** Objects that are their fields: not a Date, a Map, or whatever else would lose what it is. */
function isPlain(value: object): boolean {
  return !(
    value instanceof Date ||
    value instanceof Map ||
    value instanceof Set ||
    value instanceof Promise ||
    value instanceof Error ||
    value instanceof RegExp ||
    value instanceof ArrayBuffer
  );
}

/** Refuses a whole number that a 64-bit float cannot hold, rather than changing it. */
function exact(number: bigint): number {
  const rounded = Number(number);
  if (!Number.isFinite(rounded) || BigInt(rounded) !== number) {
    throw new InvalidError(`number ${number} does not fit a 64-bit float; send it as text`);
  }
  return rounded;
}

function shortened(value: unknown): string {
  const text = quoted(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}

/** Reads an object, its fields by name, since the wire has no order. */
export function readStruct(bytes: Uint8Array): PlainObject {
  return readFields(new BinaryReader(bytes), bytes.length, 0);
}

function readFields(reader: BinaryReader, end: number, depth: number): PlainObject {
  if (depth > maxDepth) throw new InvalidError(`a struct is nested more than ${maxDepth} deep`);
  const entries: [string, Plain][] = [];
  while (reader.pos < end) {
    const entry = reader.uint32();
    if (entry === delimited(1)) entries.push(readEntry(reader, depth));
    else reader.skip(entry & 7);
  }
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return Object.fromEntries(entries); // which takes "__proto__" for a name like any other
}

function readEntry(reader: BinaryReader, depth: number): [string, Plain] {
  const end = reader.uint32() + reader.pos;
  let name = "";
  let value: Plain = null;
  while (reader.pos < end) {
    const field = reader.uint32();
    if (field === delimited(1)) name = readText(reader);
    else if (field === delimited(2)) value = readValue(reader, reader.uint32() + reader.pos, depth);
    else reader.skip(field & 7);
  }
  return [name, value];
}

function readValue(reader: BinaryReader, end: number, depth: number): Plain {
  let value: Plain = null;
  while (reader.pos < end) {
    const field = reader.uint32();
    switch (field) {
      case tag(2, WireType.Bit64):
        value = reader.double();
        break;
      case delimited(3):
        value = readText(reader);
        break;
      case tag(4, WireType.Varint):
        value = reader.bool();
        break;
      case delimited(5):
        value = readFields(reader, reader.uint32() + reader.pos, depth + 1);
        break;
      case delimited(6):
        value = readList(reader, reader.uint32() + reader.pos, depth + 1);
        break;
      default:
        reader.skip(field & 7);
        value = null;
    }
  }
  return value;
}

function readList(reader: BinaryReader, end: number, depth: number): Plain[] {
  if (depth > maxDepth) throw new InvalidError(`a list is nested more than ${maxDepth} deep`);
  const values: Plain[] = [];
  while (reader.pos < end) {
    const field = reader.uint32();
    if (field === delimited(1)) values.push(readValue(reader, reader.uint32() + reader.pos, depth));
    else reader.skip(field & 7);
  }
  return values;
}

/** Reads text. The reader's own way would drop a byte order mark at its beginning. */
function readText(reader: BinaryReader): string {
  const bytes = reader.bytes();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
