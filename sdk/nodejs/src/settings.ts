// Where the core is and how the processor is reached: options, then the environment, then orca.json, then defaults.
//
// Nothing is read before a processor is run or a client is made.

import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { InvalidError, OrcaError, wordsOf } from "./errors.js";
import { quoted } from "./names.js";

const defaultCore = "127.0.0.1:33670";
const defaultProcessorPort = 5377;
const projectFile = "orca.json";
const maxToken = 4096;

/**
 * Certificates in PEM: as bytes, or as the path of a file.
 *
 * Towards a core, `ca` are the authorities to trust (the system's without it), `certificate` and `key` the client's own.
 * For a processor that serves TLS, `certificate` and `key` are the server's, and `ca` demands certificates of clients.
 */
export interface TLS {
  /** Who signs the certificates of the other side. */
  readonly ca?: Uint8Array | string;
  /** The own certificate, with those between it and its authority. */
  readonly certificate?: Uint8Array | string;
  /** The key of the own certificate. */
  readonly key?: Uint8Array | string;
}

/** Reads a certificate or key. */
export function readPem(what: keyof TLS, tls: TLS): Buffer | null {
  const source = tls[what];
  if (source === undefined) return null;
  if (typeof source !== "string") return Buffer.from(source);
  try {
    return readFileSync(source);
  } catch (error) {
    throw new InvalidError(`TLS ${what} ${quoted(source)}: ${wordsOf(error)}`);
  }
}

/** What a program says about the core. What it does not say comes from the environment and orca.json. */
export interface CoreOptions {
  /** host:port, grpc://host:port or grpcs://host:port. */
  readonly core?: string;
  /** TLS to the core: true with the system's authorities. */
  readonly tls?: TLS | boolean;
  /** The core's token. */
  readonly token?: string;
  /** Sends the token without TLS to a core on another machine. */
  readonly tokenInClear?: boolean;
  /** With false, nothing but what is passed and defaults counts. */
  readonly environment?: boolean;
}

/** What settings come from when no option gives them. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: Readonly<Record<string, unknown>>;
}

/** Reads the environment and orca.json, unless nothing but options counts. */
export function look(environment: boolean): Surroundings {
  if (!environment) return { env: {}, file: {} };
  const env = { ...process.env };
  let text: string;
  try {
    text = readFileSync(projectFile, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return { env, file: {} };
    throw new OrcaError(`project file ${projectFile}: ${wordsOf(error)}`);
  }
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw new InvalidError(`project file ${projectFile}: ${wordsOf(error)}`);
  }
  if (typeof file !== "object" || file === null || Array.isArray(file)) {
    throw new InvalidError(`project file ${projectFile}: must be a JSON object`);
  }
  return { env, file: file as Record<string, unknown> };
}

/** Gives the first that says something, or an empty text. */
function first(...texts: (string | undefined)[]): string {
  return texts.find((text) => text !== undefined && text !== "") ?? "";
}

function inFile(around: Surroundings, key: string): string {
  const said = around.file[key];
  if (said === undefined || said === null) return "";
  if (typeof said === "string" || typeof said === "number") return String(said);
  throw new InvalidError(`project file ${projectFile}: ${key} is ${quoted(said)}, and must be text or a number`);
}

/** An address as users write it, taken apart. */
export class Endpoint {
  constructor(
    readonly host: string,
    readonly port: number,
    readonly tls = false,
  ) {}

  /** For gRPC. */
  get hostPort(): string {
    return this.host.includes(":") ? `[${this.host}]:${this.port}` : `${this.host}:${this.port}`;
  }

  toString(): string {
    return this.tls ? `grpcs://${this.hostPort}` : this.hostPort;
  }

  /** Whether only this machine can reach it. */
  get local(): boolean {
    if (this.host === "localhost") return true;
    return isIP(this.host) === 4 ? this.host.startsWith("127.") : /^(0*:)*0*:?0*1$/.test(this.host);
  }
}

/** Takes an address apart. */
export function parseEndpoint(what: string, text: string): Endpoint {
  const tls = text.startsWith("grpcs://");
  const rest = text.replace(/^grpcs?:\/\//, "").replace(/\/$/, "");
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(rest) ?? [];
  if (port === undefined) {
    throw new InvalidError(`${what} ${quoted(text)}: must be host:port, grpc://host:port or grpcs://host:port`);
  }
  return new Endpoint(bracketed ?? plain ?? "", parsePort(what, port), tls);
}

function parsePort(what: string, text: string): number {
  if (!/^[0-9]{1,6}$/.test(text) || Number(text) > 65_535) {
    throw new InvalidError(`${what}: port ${quoted(text)} must be a number from 0 to 65535`);
  }
  return Number(text);
}

/** How to reach the core. */
export interface CoreSettings {
  readonly core: Endpoint;
  readonly tls: TLS | undefined;
  readonly token: string;
}

/** Settles how to reach the core. */
export function resolveCore(options: CoreOptions, around: Surroundings): CoreSettings {
  const text = first(options.core, around.env["ORCA_CORE"], inFile(around, "orcaConnectionString"), defaultCore);
  const core = parseEndpoint("core address", text);
  if (core.port === 0) throw new InvalidError(`core address ${quoted(text)}: the port must not be 0`);
  const production = first(around.env["ORCA_ENV"], around.env["ENV"]) === "production";
  const wanted = core.tls || (options.tls ?? false) !== false || production;
  const tls = wanted ? (typeof options.tls === "object" ? options.tls : {}) : undefined;
  const token = tokenOf(options, around);
  if (token !== "" && tls === undefined && !core.local && options.tokenInClear !== true) {
    throw new InvalidError(
      `token for the core at ${core}: it would cross the network in plain text; use TLS (a grpcs:// address or` +
        " tls: true), or insist with tokenInClear: true",
    );
  }
  return { core, tls, token };
}

function tokenOf(options: CoreOptions, around: Surroundings): string {
  let [token, source] = [options.token ?? "", "token:"];
  if (token === "") [token, source] = [around.env["ORCA_TOKEN"] ?? "", "ORCA_TOKEN"];
  const file = around.env["ORCA_TOKEN_FILE"] ?? "";
  if (token === "" && file !== "") [token, source] = [tokenIn(file), `ORCA_TOKEN_FILE ${file}`];
  if (token.length > maxToken || !/^[!-~]*$/.test(token)) {
    throw new InvalidError(
      `token from ${source}: must be visible ASCII characters without a space, at most ${maxToken}`,
    );
  }
  return token;
}

function tokenIn(file: string): string {
  let token: string;
  try {
    token = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new OrcaError(`ORCA_TOKEN_FILE ${file}: ${wordsOf(error)}`);
  }
  if (token === "") throw new InvalidError(`token from ORCA_TOKEN_FILE ${file}: the file is empty`);
  return token;
}

/** What a program says about how its processor is reached. What it does not say comes from the environment. */
export interface AddressOptions {
  /** Where it listens, as host:port; port 0 takes a free one. */
  readonly listen?: string;
  /** Where the core reaches it, as host:port; port 0 means the port that it listens on. */
  readonly address?: string;
  /** The project that it belongs to. */
  readonly project?: string;
}

/** Where to listen and what to announce. */
export interface ProcessorSettings {
  readonly core: CoreSettings;
  readonly project: string;
  readonly listen: Endpoint;
  /** Without one, it is where the processor listens. */
  readonly address: Endpoint | undefined;
}

/** Settles where to listen and what to announce. */
export function resolveProcessor(options: CoreOptions & AddressOptions, around: Surroundings): ProcessorSettings {
  const { env } = around;
  const text = first(
    options.address,
    env["PROCESSOR_ADDRESS"],
    addressInParts(env),
    inFile(around, "processorConnectionString"),
  );
  const address = text === "" ? undefined : parseEndpoint("processor address", text);
  return {
    core: resolveCore(options, around),
    project: first(options.project, env["PROJECT_NAME"], inFile(around, "projectName")),
    listen: options.listen ? parseEndpoint("listen address", options.listen) : defaultListen(around, address),
    address,
  };
}

function addressInParts(env: Surroundings["env"]): string {
  const [host, port] = [first(env["PROCESSOR_HOST"]), first(env["PROCESSOR_EXTERNAL_PORT"])];
  if (host === "" && port === "") return "";
  const announced = first(port, env["PROCESSOR_PORT"], String(defaultProcessorPort));
  return new Endpoint(host || "127.0.0.1", parsePort("processor address", announced)).hostPort;
}

/** Opens all interfaces only for a processor that is to be reached from elsewhere. */
function defaultListen(around: Surroundings, address: Endpoint | undefined): Endpoint {
  const host = address === undefined || address.local ? "127.0.0.1" : "0.0.0.0";
  const text = first(around.env["PROCESSOR_PORT"], inFile(around, "processorPort"));
  const port = text === "" ? address?.port || defaultProcessorPort : parsePort("processor port", text);
  return new Endpoint(host, port);
}

/** Gives the address for the registration, once the processor listens on a port. */
export function announced(settings: ProcessorSettings, port: number, serverTls: boolean): Endpoint {
  const { address, listen } = settings;
  if (address !== undefined) return new Endpoint(address.host, address.port || port, address.tls || serverTls);
  const everywhere = ["", "0.0.0.0", "::"].includes(listen.host);
  return new Endpoint(everywhere ? "127.0.0.1" : listen.host, port, serverTls);
}
