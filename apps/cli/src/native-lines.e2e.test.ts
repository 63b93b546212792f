/**
 * What Dawn says by itself while it looks for drivers: kept from users at a terminal or behind a pipe of the shell, shown with
 * `--verbose`; and standard error goes on as before.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { MAIN } from "./testing/run-cli.js";

const DAWN = "artificially reduced";
const PLAN = `"${process.execPath}" "${MAIN}" plan wan2.1-t2v-1.3b --device llvmpipe`;
/** After the device is open: an error, of a folder that can not be made. */
const FAILING = `${PLAN} --png /dev/null/a.png`;
const folder = mkdtempSync(join(tmpdir(), "lvsa-native-"));
afterAll(() => rmSync(folder, { recursive: true }));
const shell = (line: string) => spawnSync("sh", ["-c", line], { encoding: "utf8", stdio: "pipe" });

/** Whether Dawn says something here at all. A socket, as this is, can not be stepped aside for. */
function dawnSpeaks(): string | undefined {
  if (process.platform !== "linux") return "no /proc here";
  const { stderr, status } = shell(PLAN);
  if (status !== 0) return `no llvmpipe here: ${stderr.split("\n")[0]}`;
  return stderr.includes(DAWN) ? undefined : "Dawn says nothing of this driver";
}

const reason = dawnSpeaks();
const hasScript = existsSync("/usr/bin/script");
if (reason !== undefined) console.log(`native lines are not tested: ${reason}`);
else if (!hasScript) console.log("native lines at a terminal are not tested: there is no program `script`");

it.skipIf(reason !== undefined)("a pipe: quiet, and what is said afterwards comes through", () => {
  const { stdout } = shell(`( ${FAILING} 2>&1 >/dev/null; echo "code $?" ) | cat`);
  expect(stdout).not.toContain(DAWN);
  expect(stdout).toMatch(/^error: .*\/dev\/null/m);
  expect(stdout).toMatch(/code [12]\n$/);
});

it.skipIf(reason !== undefined)("a pipe, with --verbose", () => {
  expect(shell(`${PLAN} --verbose 2>&1 >/dev/null | cat`).stdout).toContain(DAWN);
});

it.skipIf(reason !== undefined)("a file is left alone, and keeps what was in it", () => {
  const path = join(folder, "errors.txt");
  shell(`echo first > ${path}; ${FAILING} 2>> ${path} >/dev/null`);
  const text = readFileSync(path, "utf8");
  expect(text.startsWith("first\n")).toBe(true);
  expect(text).toContain(DAWN);
  expect(text).toContain("error: ");
});

it.skipIf(reason !== undefined)("a pipe whose reader is gone is not waited for", () => {
  const path = join(folder, "code.txt");
  shell(`( sleep 0.2; ${PLAN} 2>&1 >/dev/null; echo "code $?" > ${path} ) | true`);
  expect(readFileSync(path, "utf8")).toBe("code 0\n");
});

it.skipIf(reason !== undefined || !hasScript)("a terminal: quiet, and --verbose shows them", () => {
  const terminal = (line: string) => shell(`script -qec '${line}' /dev/null`).stdout;
  expect(terminal(FAILING)).not.toContain(DAWN);
  expect(terminal(FAILING)).toContain("error: ");
  expect(terminal(`${PLAN} --verbose`)).toContain(DAWN);
});
