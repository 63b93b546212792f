/**
 * What drivers write to standard error by themselves, past this program's own streams. Dawn has no switch for its warnings. They
 * are written while drivers are looked for, which takes one call: meanwhile a temporary file stands in the place of standard error.
 */
import { closeSync, constants, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isatty } from "node:tty";

/** Dawn's remarks about limits that every such driver has. */
const DAWN =
  /^Warning: max\w+ artificially reduced from \d+ to \d+ to fit dynamic offset allocation limit\.$/;

const STDERR = 2;
/** A pipe whose reader is gone is not waited for. */
const WRITE = constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK;

/** What is said to the user of all that was written. */
export function otherLines(text: string): string {
  return text
    .split(/(?<=\n)/)
    .filter((line) => !DAWN.test(line.trimEnd()))
    .join("");
}

/**
 * Only a terminal or a pipe can be opened once more afterwards; a file would lose its place, and a socket can not be opened. Nor
 * may anything be on its way that opens files by itself: it would get the number of standard error.
 */
function canStepAside(): boolean {
  if (process.platform !== "linux") return false;
  // `FSReqPromise`, `GetAddrInfoReqWrap` and others; a file that is being closed takes no number.
  const work = process.getActiveResourcesInfo().filter((name) => name.includes("Req") && name !== "CloseReq");
  if (work.length > 0) return false;
  return isatty(STDERR) || fstatSync(STDERR).isFIFO();
}

/**
 * Calls `look`, and keeps Dawn's own lines from the user. Everything else that was written meanwhile goes to `say`.
 * @param isIdle nothing ever waited for a reader of standard error: the event loop has forgotten its number then
 */
export function withoutDawnLines<T>(look: () => T, say: (text: string) => void, isIdle: boolean): T {
  let caught: { readonly path: string; readonly folder: string; readonly kept: number } | undefined;
  try {
    caught = isIdle && canStepAside() ? stepAside() : undefined;
  } catch {
    // No folder for temporary files, no /proc: the lines are seen.
  }
  if (!caught) return look();
  try {
    return look();
  } finally {
    giveBack(caught.kept);
    const text = readFileSync(caught.path, "utf8");
    rmSync(caught.folder, { recursive: true, force: true });
    const others = otherLines(text);
    if (others !== "") say(others);
  }
}

function giveBack(kept: number): void {
  closeSync(STDERR);
  try {
    openSync(`/proc/self/fd/${kept}`, WRITE);
  } catch {
    // The reader went away meanwhile. The number must not stay free: the next file would get it.
    openSync("/dev/null", "w");
  }
  closeSync(kept);
}

function stepAside(): { readonly path: string; readonly folder: string; readonly kept: number } {
  const folder = mkdtempSync(join(tmpdir(), "lvsa-stderr-"));
  const path = join(folder, "lines");
  let kept: number | undefined;
  try {
    // Open already: what can fail has failed before standard error is closed.
    closeSync(openSync(path, "wx"));
    kept = openSync(`/proc/self/fd/${STDERR}`, WRITE);
    closeSync(STDERR);
    openSync(path, "a");
    return { path, folder, kept };
  } catch (error) {
    if (kept !== undefined) closeSync(kept);
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
