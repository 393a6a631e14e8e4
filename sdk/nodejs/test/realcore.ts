// A real core for the tests that need one.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { Connection, methods } from "../src/connection.js";
import { look, resolveCore } from "../src/settings.js";

/** The command orca, or a reason to skip. */
export const binary = process.env["ORCA_BIN"] ?? "";
if (binary === "" && process.env["CI"]) throw new Error("ORCA_BIN does not name the command orca; make test does");
/** For tests that need a core. */
export const needsCore = { skip: binary === "" ? "ORCA_BIN does not name the command orca; make test does" : false };

/** A core as a process, with its store in a folder. */
export class RealCore {
  address = "127.0.0.1:0";
  #process: ChildProcess | undefined;

  private constructor(
    readonly folder: string,
    private readonly options: readonly string[],
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  /** Starts a core that ends with the test. */
  static async start(t: TestContext, options: string[] = [], env: Record<string, string> = {}): Promise<RealCore> {
    const core = new RealCore(mkdtempSync(join(tmpdir(), "orca-")), options, env);
    t.after(async () => {
      await core.kill();
      rmSync(core.folder, { recursive: true });
    });
    await core.start();
    return core;
  }

  /** Starts it again, at the same address. */
  async start(store = "orca.db"): Promise<void> {
    const around = Object.entries(process.env).filter(([name]) => !name.startsWith("ORCA_"));
    const started = spawn(
      binary,
      [
        "serve",
        "--grpc",
        this.address,
        "--http",
        "127.0.0.1:0",
        "--store",
        `sqlite:${join(this.folder, store)}`,
      ].concat(this.options),
      { env: { ...Object.fromEntries(around), ...this.env }, stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#process = started;
    let errors = "";
    started.stderr.on("data", (text) => {
      errors += String(text);
    });
    for await (const line of createInterface({ input: started.stdout })) {
      const [, address] = /^orca is ready: grpc=(\S+) /.exec(line) ?? [];
      if (address === undefined) continue;
      this.address = address;
      started.stdout.resume();
      return;
    }
    throw new Error(`the core did not start: ${errors}`);
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    if (this.#process === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }

  /** Returns when the core knows a processor of another process, which tells nobody else. */
  async knows(name: string, algorithms: number): Promise<void> {
    const connection = new Connection(resolveCore({ core: this.address, environment: false }, look(false)));
    try {
      for (;;) {
        const listed = await connection.unary(
          methods.processors,
          { pageSize: 0, pageToken: "" },
          { waitForReady: true },
        );
        if (listed.processors.some((p) => p.name === name && p.instances[0]?.algorithms === algorithms)) return;
      }
    } finally {
      connection.close();
    }
  }
}
