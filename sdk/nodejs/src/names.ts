// The rules for names, versions and texts. The core takes more; the SDKs are strict, so that names are identifiers.

import { InvalidError } from "./errors.js";

const namePattern = /^[A-Z][a-zA-Z0-9]*$/;
const versionPattern = /^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$/;
const maxNameBytes = 255;
const maxDescription = 1000;

/** Checks the name of an algorithm or a window type. */
export function checkName(what: string, name: unknown): asserts name is string {
  if (typeof name !== "string" || !namePattern.test(name)) {
    throw new InvalidError(
      `${what} name ${quoted(name)}: must be PascalCase, such as "LapSpeed" (letters and digits, beginning with A-Z)`,
    );
  }
  checkLength(`${what} name`, name);
}

/** Checks a version. */
export function checkVersion(what: string, version: unknown): asserts version is string {
  if (typeof version !== "string" || !versionPattern.test(version)) {
    throw new InvalidError(
      `${what} version ${quoted(version)}: must be plain semver, such as "1.0.0" (three numbers, no prefix or suffix)`,
    );
  }
  checkLength(`${what} version`, version);
}

/** Checks what is free text with a length: processor and field names, origins. */
export function checkText(what: string, text: unknown): asserts text is string {
  if (typeof text !== "string") throw new InvalidError(`${what} ${quoted(text)}: must be a string`);
  if (text === "") throw new InvalidError(`${what}: must not be empty`);
  checkUnicode(what, text);
  checkLength(what, text);
}

/** Checks a description. */
export function checkDescription(what: string, text: unknown): asserts text is string {
  if (typeof text !== "string") {
    throw new InvalidError(`${what}: the description must be a string, not ${quoted(text)}`);
  }
  checkUnicode(`${what} description`, text);
  const length = [...text].length;
  if (length > maxDescription) {
    throw new InvalidError(`${what}: the description has ${length} characters, at most ${maxDescription} are allowed`);
  }
}

/** Refuses what UTF-8 cannot carry: lone surrogates. */
export function checkUnicode(what: string, text: string): void {
  if (!text.isWellFormed()) {
    throw new InvalidError(`${what} ${quoted(text)}: must be valid Unicode without lone surrogates`);
  }
}

function checkLength(what: string, text: string): void {
  const size = Buffer.byteLength(text);
  if (size > maxNameBytes) {
    throw new InvalidError(
      `${what} ${quoted(text.slice(0, 20))}…: ${size} bytes long, at most ${maxNameBytes} are allowed`,
    );
  }
}

/** Writes any value for people, in one line. */
export function quoted(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `function ${value.name || "without a name"}`;
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : String(value);
  const name = Object.getPrototypeOf(value)?.constructor?.name;
  return name === undefined ? "an object" : `an object of ${name}`;
}

/** Identifies an algorithm. */
export class AlgorithmID {
  constructor(
    readonly processor: string,
    readonly name: string,
    readonly version: string,
  ) {}

  /** For people: "Speed 1.0.0 of racing". */
  toString(): string {
    return `${this.name} ${this.version} of ${this.processor}`;
  }

  /** Says whether it is the same algorithm. */
  equals(other: AlgorithmID): boolean {
    return this.processor === other.processor && this.name === other.name && this.version === other.version;
  }
}
