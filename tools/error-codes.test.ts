/** The lists of error codes are those of the code. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

it("error-codes.ts and docs/error-codes.md are current, and every code has one fault", async () => {
  // Rejects with what is out of date.
  const { stdout } = await promisify(execFile)(process.execPath, ["tools/error-codes.mjs"], { cwd: root });
  expect(stdout).toMatch(/error codes of \d+ packages are current/);
});
