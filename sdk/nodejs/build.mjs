// Builds the package twice: as an ES module into dist/esm and for require into dist/cjs, each with its types.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";

const kinds = [
  { folder: "esm", type: "module", options: ["--module", "esnext"] },
  { folder: "cjs", type: "commonjs", options: ["--module", "commonjs"] },
];

rmSync("dist", { recursive: true, force: true });
for (const { folder, type, options } of kinds) {
  mkdirSync(`dist/${folder}`, { recursive: true });
  // The nearest package.json says which kind of module a file is, to Node and to TypeScript.
  writeFileSync(`dist/${folder}/package.json`, `${JSON.stringify({ type, sideEffects: false })}\n`);
  const compiler = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json", "--outDir", `dist/${folder}`, ...options];
  const { status } = spawnSync(process.execPath, compiler, { stdio: "inherit" });
  if (status !== 0) process.exit(1);
}
