// The core's word that it has a window.

import { WindowEmitStatus_StatusEnum as Status } from "./contract/service.js";
import { OrcaError } from "./errors.js";

/**
 * What an emitted window has set in motion. With each of them the window is kept.
 *
 * - processing triggered: the window's run has begun
 * - no triggered algorithms: no active algorithm has this window type
 * - triggering failed: algorithms have this window type, but none of them can run
 */
export type EmitStatus = "processing triggered" | "no triggered algorithms" | "triggering failed";

/** The core's word that it has a window on disk. */
export interface Emission {
  /** What `wait` takes. It is empty when the core gives none. */
  readonly windowId: string;
  /** What the window has set in motion. */
  readonly status: EmitStatus;
}

/** Reads a status. */
export function emitStatusOf(status: Status): EmitStatus {
  switch (status) {
    case Status.PROCESSING_TRIGGERED:
      return "processing triggered";
    case Status.NO_TRIGGERED_ALGORITHMS:
      return "no triggered algorithms";
    case Status.TRIGGERING_FAILED:
      return "triggering failed";
    default:
      throw new OrcaError(`the core answered with the unknown status ${status}`);
  }
}
