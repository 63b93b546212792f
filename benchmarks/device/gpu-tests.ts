/**
 * GPU tests of the repository in one file, for a machine with a GPU and nothing else. JSON lines: one per file, and one per
 * test that fails.
 *
 *     LVSA_TEST_BOUNDS=unchecked node gpu-tests.mjs LABEL [PART OF A PATH …]
 *
 * `LVSA_TEST_BOUNDS=unchecked` leaves indices unchecked and puts guards behind every buffer; `BENCH_SECONDS` ends it before
 * the next file.
 */
import { appendFileSync } from "node:fs";
import { GPU_TESTS } from "gpu-test-files";
import { runFile, type TestResult } from "./test-runner.js";

const [label = "now", ...parts] = process.argv.slice(2);
const seconds = Number(process.env.BENCH_SECONDS ?? Number.POSITIVE_INFINITY);
const bounds = process.env.LVSA_TEST_BOUNDS === "unchecked" ? "unchecked" : "checked";

function say(line: object): void {
  const text = `${JSON.stringify({ what: "test", label, bounds, ...line })}\n`;
  process.stdout.write(text);
  if (process.env.BENCH_OUT) appendFileSync(process.env.BENCH_OUT, text);
}

let failures = 0;
const wanted = parts.length === 0 ? Object.keys(GPU_TESTS) : parts;
for (const part of wanted) {
  const files = Object.entries(GPU_TESTS).filter(([file]) => file.includes(part));
  if (files.length === 0) throw new Error(`no file of GPU tests has "${part}" in its path`);
  for (const [file, load] of files) {
    if (performance.now() > 1000 * seconds) break;
    const results: TestResult[] = [];
    const notes: string[] = [];
    const { warn, log } = console;
    console.warn = console.log = (...words: unknown[]) => void notes.push(words.join(" "));
    const start = performance.now();
    await runFile(file, load, (result) => {
      results.push(result);
      if (result.failed || result.skipped) say(result);
    });
    Object.assign(console, { warn, log });
    const failed = results.filter((r) => r.failed).length;
    failures += failed;
    say({
      file,
      tests: results.length,
      failed,
      skipped: results.filter((r) => r.skipped).length,
      ms: Math.round(performance.now() - start),
      ...(notes.length > 0 ? { notes: [...new Set(notes)] } : {}),
    });
  }
}
process.exit(failures > 0 ? 1 : 0);
