// cnnlib's core tests in the Python of the browser, run by Node:
//
//     node tests/site/core_tests.mjs PYODIDE_FOLDER [pytest's arguments]
//
// PYODIDE_FOLDER is what tests/site/distribution.py makes. The checkout is mounted, not installed.
import { readdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = resolve(process.argv[2]);
const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
// Not test_fast, test_datasets: they need threads, sockets or processes.
const core = ["windows", "naive", "layers", "gradients", "networks", "classics", "optimizers"];
core.push("trainer", "visualize");
const chosen = process.argv.slice(3);

const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`).href);
const python = await loadPyodide({ indexURL: `${folder}/`, packageCacheDir: `${folder}/` });
const quiet = { messageCallback() {} };
await python.loadPackage(["numpy", "scipy", "tqdm", "pytest", "sortedcontainers"], quiet);
for (const wheel of readdirSync(`${folder}/for-tests`)) {
  await python.loadPackage(`${folder}/for-tests/${wheel}`, { ...quiet, checkIntegrity: false });
}
python.FS.mkdir("/repo");
python.mountNodeFS("/repo", root);
python.globals.set("arguments", python.toPy(
  chosen.length ? chosen : core.map((name) => `tests/test_${name}.py`)));
const code = python.runPython(`
import os, sys
import pytest
os.chdir("/repo")
sys.path.insert(0, "/repo")
sys.dont_write_bytecode = True
print("Python", sys.version.split()[0], "on", sys.platform, flush=True)
int(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:nbval", *arguments]))
`);
process.exit(code);
