// Runs test projects and ends with one line: `N passed, N failed` (and skipped, with reasons above).
// Usage: node tools/test.mjs [project…]   default: unit gpu parity e2e
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const projects = process.argv.slice(2).length ? process.argv.slice(2) : ["unit", "gpu", "parity", "e2e"];
const folder = mkdtempSync(join(tmpdir(), "lvsa-test-"));
let passed = 0;
let failed = 0;
let skipped = 0;
let broken = false;

// One run per project: GPU files run one at a time, unit files in parallel.
for (const project of projects) {
  const report = join(folder, `${project}.json`);
  const args = [
    "vitest",
    "run",
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile=${report}`,
  ];
  const started = Date.now();
  const { status } = spawnSync("npx", ["--no-install", ...args], {
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  let result;
  try {
    result = JSON.parse(readFileSync(report, "utf8"));
  } catch {
    console.error(`test project ${project} ended without a report (exit code ${status})`);
    broken = true;
    continue;
  }
  passed += result.numPassedTests;
  // A file that does not load fails without any test of its own.
  const emptyFailures = result.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  failed += result.numFailedTests + emptyFailures.length;
  skipped += result.numPendingTests + (result.numTodoTests ?? 0);
  if (status !== 0) broken = true;
  console.log(`${project}: ${((Date.now() - started) / 1000).toFixed(0)} s`);
}
rmSync(folder, { recursive: true, force: true });
if (broken && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
process.exit(failed || broken ? 1 : 0);
