// What this process uses of its machine.

import { availableParallelism } from "node:os";

const interval = 1000; // milliseconds, the shortest time over which CPU use is measured, so that several cores get sound figures

/** What a process uses. */
export interface Usage {
  /** Resident. */
  readonly memoryBytes: number;
  /** Of what the process may use, since the reading before. */
  readonly cpuPercent: number;
  readonly uptimeSeconds: number;
}

/** Measures this process since it was made. */
export class Meter {
  readonly #started = performance.now();
  #at = this.#started;
  #used = cpuMilliseconds();
  #percent = 0;

  read(): Usage {
    const now = performance.now();
    if (now - this.#at >= interval) {
      const used = cpuMilliseconds();
      const share = (100 * (used - this.#used)) / ((now - this.#at) * availableParallelism());
      this.#percent = Math.max(0, Math.min(100, share));
      this.#at = now;
      this.#used = used;
    }
    return {
      memoryBytes: process.memoryUsage.rss(),
      cpuPercent: this.#percent,
      uptimeSeconds: Math.floor((now - this.#started) / 1000),
    };
  }
}

function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
