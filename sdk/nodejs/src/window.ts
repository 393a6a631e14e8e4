// Window types, their metadata fields, and windows.

import type { Window as WindowMessage, WindowType as WindowTypeMessage } from "./contract/service.js";
import { InvalidError } from "./errors.js";
import { checkDescription, checkName, checkText, checkVersion, quoted } from "./names.js";
import { dateOf, lastTime, nanosecondsOf, readTimestamp, type Time, timestampOf, timeText } from "./time.js";
import { type Plain, type PlainObject, readStruct, writeStruct } from "./values.js";

/** The types that a metadata field can have, by the names that `field` takes. */
export interface FieldTypes {
  readonly string: string;
  readonly number: number;
  readonly boolean: boolean;
  readonly array: readonly Plain[];
  readonly object: PlainObject;
}

/** What is said of a metadata field. */
export interface FieldOptions {
  /** What it means, for those who look at what there is. */
  readonly description?: string;
  /** Lookbacks take only windows that have the same value in it, such as the same machine. */
  readonly filter?: boolean;
  /** The value reaches the algorithms and is kept nowhere else: it is in no result, query or log. */
  readonly noStore?: boolean;
}

/** One metadata field of a window type. Made by `field`. */
export class Field<T = Plain> {
  declare readonly valueType: T; // for TypeScript alone

  constructor(
    readonly name: string,
    readonly type: keyof FieldTypes | undefined,
    readonly nullable: boolean,
    readonly description: string,
    readonly filter: boolean,
    readonly noStore: boolean,
  ) {}

  /** Returns the value if it is of the field's type, or throws InvalidError. */
  check(value: unknown): T {
    const fits =
      this.type === undefined ||
      (value === null
        ? this.nullable
        : this.type === "array"
          ? Array.isArray(value)
          : typeof value === this.type && !Array.isArray(value));
    if (fits) return value as T;
    const hint = value === null ? "; say nullable: true where null is allowed" : "";
    throw new InvalidError(`metadata field ${quoted(this.name)}: ${quoted(value)} is not of type ${this.type}${hint}`);
  }
}

/**
 * Declares a metadata field of a window type. With a type, `window.get(field)` is checked and typed.
 *
 *     const machine = field("machine", "string", { filter: true, description: "Its serial number" });
 */
export function field(name: string, type?: undefined, options?: FieldOptions): Field;
export function field<K extends keyof FieldTypes>(
  name: string,
  type: K,
  options: FieldOptions & { readonly nullable: true },
): Field<FieldTypes[K] | null>;
export function field<K extends keyof FieldTypes>(
  name: string,
  type: K,
  options?: FieldOptions & { readonly nullable?: false },
): Field<FieldTypes[K]>;
export function field(
  name: string,
  type?: keyof FieldTypes,
  options: FieldOptions & { readonly nullable?: boolean } = {},
): Field<unknown> {
  checkText("field name", name);
  const { description = "", filter = false, noStore = false, nullable = false } = options;
  checkDescription(`field ${quoted(name)}`, description);
  if (type !== undefined && !["string", "number", "boolean", "array", "object"].includes(type)) {
    throw new InvalidError(
      `field ${quoted(name)}: its type ${quoted(type)} must be string, number, boolean, array or object`,
    );
  }
  return new Field(name, type, nullable, description, filter, noStore);
}

/** What is said of a window type. */
export interface WindowTypeOptions {
  /** What it is, for those who look at what there is. */
  readonly description?: string;
  /** The metadata that every window of the type has. */
  readonly fields?: readonly Field<unknown>[];
}

/**
 * A category of windows. Within one version its fields never change: a change needs a new version.
 *
 *     const lap = new WindowType("Lap", "1.0.0", { description: "One lap of one car", fields: [car] });
 */
export class WindowType {
  /** PascalCase. */
  readonly name: string;
  /** Three numbers. */
  readonly version: string;
  /** What it is, in words. */
  readonly description: string;
  /** The metadata that every window of the type has. */
  readonly fields: readonly Field<unknown>[];

  constructor(name: string, version: string, options: WindowTypeOptions = {}) {
    checkName("window type", name);
    checkVersion("window type", version);
    this.name = name;
    this.version = version;
    this.description = options.description ?? "";
    this.fields = [...(options.fields ?? [])];
    checkDescription(`window type ${name}`, this.description);
    const names = new Set<string>();
    for (const { name } of this.fields) {
      if (names.has(name)) throw new InvalidError(`window type ${this}: the field ${quoted(name)} is there twice`);
      names.add(name);
    }
  }

  /** For people: "Lap 1.0.0". */
  toString(): string {
    return `${this.name} ${this.version}`;
  }

  /** Says whether they are of one name and version. */
  equals(other: WindowType): boolean {
    return this.name === other.name && this.version === other.version;
  }
}

/** Says whether two window types declare the same fields, as one version has to. Order and descriptions do not count. */
export function sameFields(one: WindowType, other: WindowType): boolean {
  const flags = (type: WindowType) => type.fields.map((f) => JSON.stringify([f.name, f.filter, f.noStore])).sort();
  return flags(one).join() === flags(other).join();
}

/** Gives a window type's form on the wire. */
export function windowTypeMessage(type: WindowType): WindowTypeMessage {
  return {
    name: type.name,
    version: type.version,
    description: type.description,
    metadataFields: type.fields.map(({ name, description, noStore, filter }) => ({
      name,
      description,
      noStore,
      filter,
    })),
  };
}

/** What is said of a window beside its type and times. */
export interface WindowOptions {
  /** Who emits it, in the emitter's own words. */
  readonly origin: string;
  /** Every field that the type declares, and whatever else the algorithms shall know. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/**
 * One interval of event time, of a type. Equal times make a point window.
 *
 * Times are given as nanoseconds since the epoch (a bigint) or as Dates, and are kept in nanoseconds.
 */
export class Window {
  /** Windows that come from a core know its name and version only. */
  readonly type: WindowType;
  /** Nanoseconds since the epoch. */
  readonly timeFrom: bigint;
  /** Nanoseconds since the epoch. */
  readonly timeTo: bigint;
  /** Who emitted it, in the emitter's own words. */
  readonly origin: string;
  /** The core's name for it: known for windows that a client reads back, else empty. */
  readonly id: string;
  /** @internal */
  readonly message: WindowMessage;
  #metadata: PlainObject | undefined;

  constructor(type: WindowType, timeFrom: Time, timeTo: Time, options: WindowOptions);
  /** @internal */
  constructor(type: WindowType, timeFrom: bigint, timeTo: bigint, read: { message: WindowMessage; id: string });
  constructor(
    type: WindowType,
    timeFrom: Time,
    timeTo: Time,
    options: WindowOptions | { message: WindowMessage; id: string },
  ) {
    this.type = type;
    this.timeFrom = nanosecondsOf("from", timeFrom);
    this.timeTo = nanosecondsOf("to", timeTo);
    if ("message" in options) {
      this.id = options.id;
      this.message = options.message;
      this.origin = options.message.origin;
      return;
    }
    this.id = "";
    this.origin = options.origin;
    const metadata = options.metadata ?? {};
    checkWindow(this, metadata);
    this.message = {
      timeFrom: timestampOf(this.timeFrom),
      timeTo: timestampOf(this.timeTo),
      windowTypeName: type.name,
      windowTypeVersion: type.version,
      origin: this.origin,
      metadata: writeMetadata(metadata),
    };
  }

  /** Its metadata, as it goes over the wire: numbers are 64-bit floats, and fields are in the order of their names. */
  get metadata(): PlainObject {
    this.#metadata ??= readStruct(this.message.metadata);
    return this.#metadata;
  }

  /** Gives the value of a field, checked against the field's type. */
  get<T>(field: Field<T>): T {
    if (!Object.hasOwn(this.metadata, field.name)) {
      throw new InvalidError(`metadata: the window of type ${this.type} has no field ${quoted(field.name)}`);
    }
    return field.check(this.metadata[field.name]);
  }

  /** When it begins, cut to milliseconds. */
  get start(): Date {
    return dateOf(this.timeFrom);
  }

  /** When it ends, cut to milliseconds. */
  get end(): Date {
    return dateOf(this.timeTo);
  }

  /** Its length in nanoseconds. */
  get duration(): bigint {
    return this.timeTo - this.timeFrom;
  }

  /** Its length in seconds. */
  get seconds(): number {
    return Number(this.duration) / 1e9;
  }

  /** For people. */
  toString(): string {
    return `${this.type}, ${timeText(this.timeFrom)} to ${timeText(this.timeTo)}`;
  }
}

function writeMetadata(metadata: Readonly<Record<string, unknown>>): Uint8Array {
  try {
    return writeStruct(metadata);
  } catch (error) {
    throw error instanceof InvalidError ? new InvalidError(`metadata: ${error.message}`) : error;
  }
}

/** Checks what a core would refuse, so that mistakes show where they are made. */
function checkWindow(window: Window, metadata: Readonly<Record<string, unknown>>): void {
  const { type, timeFrom, timeTo } = window;
  if (!(type instanceof WindowType)) throw new InvalidError(`window type ${quoted(type)}: must be a WindowType`);
  checkText("origin of the window", window.origin);
  for (const [name, time] of Object.entries({ from: timeFrom, to: timeTo })) {
    if (time <= 0n || time > lastTime) {
      throw new InvalidError(
        `${name} time ${timeText(time)}: must lie between 1970-01-01 and 2262-04-11; a bigint is nanoseconds since the epoch`,
      );
    }
  }
  if (timeTo < timeFrom) {
    throw new InvalidError(`window: it ends (${timeText(timeTo)}) before it begins (${timeText(timeFrom)})`);
  }
  const missing = type.fields.filter(({ name }) => !Object.hasOwn(metadata, name) || metadata[name] === undefined);
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).sort();
    throw new InvalidError(`metadata: window type ${type} declares ${names.join(", ")}, which this window lacks`);
  }
  for (const field of type.fields) field.check(metadata[field.name]);
}

const maxTypesKept = 1024;
let typesKept: Map<string, WindowType> | undefined; // of windows that were read, by what they are called

/** Gives a window type as it is read. A core may have names that this SDK would not let anybody choose. */
export function windowTypeCalled(name: string, version: string): WindowType {
  typesKept ??= new Map();
  const key = `${name}\n${version}`;
  let known = typesKept.get(key);
  if (known === undefined) {
    known = Object.assign(Object.create(WindowType.prototype) as WindowType, {
      name,
      version,
      description: "",
      fields: [],
    });
    if (typesKept.size >= maxTypesKept) typesKept.clear();
    typesKept.set(key, known);
  }
  return known;
}

/** Reads a window that came from a core. It is read as it is. */
export function windowOf(message: WindowMessage, id = ""): Window {
  const type = windowTypeCalled(message.windowTypeName, message.windowTypeVersion);
  return new Window(type, readTimestamp(message.timeFrom), readTimestamp(message.timeTo), { message, id });
}
