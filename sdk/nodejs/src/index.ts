// The TypeScript SDK of Orca: functions become algorithms that a core runs whenever a window of their type is emitted.
//
// A `Processor` holds algorithms and serves them. A `Client` emits windows, waits for what becomes of them and reads
// results. "@orca-telemetry/sdk/testing" runs whole DAGs with their history in memory.
//
// The package is a guest in its program: it does no work at import, reads the environment only when a processor is run or a
// client is made, installs signal handlers only in `processor.run()`, and never exits.

export {
  Algorithm,
  type AlgorithmFunction,
  type AlgorithmOptions,
  Dependency,
  type Need,
  type RemoteOptions,
  remote,
} from "./algorithm.js";
export {
  Client,
  type ClientOptions,
  type EmitOptions,
  type RerunOptions,
  type ResultsOptions,
  type RevisionOptions,
  type WaitOptions,
  type WindowRef,
} from "./client.js";
export type { Emission, EmitStatus } from "./emission.js";
export {
  ConflictError,
  type FailedCall,
  Failure,
  InvalidError,
  NoResultError,
  NotFoundError,
  OrcaError,
  TimeoutError,
  UnauthorizedError,
  UnavailableError,
} from "./errors.js";
export type { Logger } from "./log.js";
export { type GapOptions, Lookback, last, newest, over } from "./lookback.js";
export { AlgorithmID } from "./names.js";
export { type Freshness, type GivenRow, Node, type NodeState, Outcome, type Rerun, type RunState } from "./outcome.js";
export { Processor, type ProcessorOptions } from "./processor.js";
export { type AnyResult, any, array, type Kind, none, type Sendable, struct, value } from "./results.js";
export { Input, Row, Rows } from "./rows.js";
export { Run, type RunEmitOptions } from "./run.js";
export type { Session } from "./session.js";
export type { AddressOptions, CoreOptions, TLS } from "./settings.js";
export type { Duration, Time, Timeout } from "./time.js";
export type { Plain, PlainObject } from "./values.js";
export {
  Field,
  type FieldOptions,
  type FieldTypes,
  field,
  Window,
  type WindowOptions,
  WindowType,
  type WindowTypeOptions,
} from "./window.js";
