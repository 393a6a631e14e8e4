// Packs the package and uses it as its users do: from an ES module and with require, compiled in strict TypeScript against the
// types of either, and run, also on a worker thread.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const body = (worker) => `
const lap = new orca.WindowType("Lap", "1.0.0");
const racing = new orca.Processor("racing", { listen: "127.0.0.1:0", environment: false, log: console });
const speed = racing.algorithm("Speed", "1.0.0", lap, { result: orca.value, worker: ${worker} }, (run) => 6 / run.window.seconds);
const twice = racing.algorithm("Twice", "1.0.0", lap, { result: orca.value, needs: [speed.last(1)] }, async (run) => {
  return 2 * run.get(speed).value;
});
// @ts-expect-error: a value is a number
const mistake = () => racing.algorithm("Mistake", "1.0.0", lap, { result: orca.value }, () => "text");

async function main(): Promise<void> {
  const outcome = await new testing.Core(racing).emit(new orca.Window(lap, 1n, 2_000_000_001n, { origin: "test" }));
  const number: number = outcome.get(twice);
  const session = await racing.start(); // which has the worker threads load this file
  await session.stop();
  if (number !== 6) throw new Error(\`\${number}, \${mistake}\`);
}
if (isMainThread) main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
`;

const consumers = {
  "esm.mts": `import { isMainThread } from "node:worker_threads";
import * as orca from "@orca-telemetry/sdk";
import * as testing from "@orca-telemetry/sdk/testing";
${body("import.meta.url")}`,
  "cjs.cts": `import { isMainThread } from "node:worker_threads";
import orca = require("@orca-telemetry/sdk");
import testing = require("@orca-telemetry/sdk/testing");
${body("__filename")}`,
};

const run = (command, args, cwd) => execFileSync(command, args, { cwd, stdio: ["ignore", "pipe", "inherit"] });

/** The files that the package's exports name. */
function exported(value) {
  return typeof value === "string" ? [value] : Object.values(value).flatMap(exported);
}

const folder = mkdtempSync(join(tmpdir(), "orca-"));
try {
  const modules = join(folder, "node_modules");
  const installed = join(modules, "@orca-telemetry", "sdk");
  mkdirSync(installed, { recursive: true });
  const [{ filename }] = JSON.parse(
    run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], "."),
  );
  run("tar", ["-xzf", join(folder, filename), "--strip-components=1", "-C", installed], ".");
  for (const name of ["@grpc", "@bufbuild", "@types"]) symlinkSync(resolve("node_modules", name), join(modules, name));

  const { exports } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  const missing = exported(exports).filter((path) => !existsSync(join(installed, path)));
  if (missing.length > 0) throw new Error(`the package names ${missing.join(", ")}, which it does not have`);

  for (const [name, text] of Object.entries(consumers)) writeFileSync(join(folder, name), text);
  const strict = ["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--skipLibCheck", "false"];
  const kind = ["--module", "nodenext", "--target", "es2022", "--types", "node"];
  const compiler = resolve("node_modules", "typescript", "bin", "tsc");
  run(process.execPath, [compiler, ...kind, ...strict, ...Object.keys(consumers)], folder);
  for (const name of ["esm.mjs", "cjs.cjs"]) run(process.execPath, [name], folder);
} finally {
  rmSync(folder, { recursive: true });
}
