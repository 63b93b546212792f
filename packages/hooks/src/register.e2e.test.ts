/** The built package as a preloaded module: `node --import @lvsa/hooks/register app.js`. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const cwd = fileURLToPath(new URL("..", import.meta.url));
const app =
  'import { registeredPlugins } from "@lvsa/core"; console.log(registeredPlugins().map((p) => p.name).join());';

function run(env: Readonly<Record<string, string>>, ...more: string[]) {
  const args = [...more, "--input-type=module", "-e", app];
  return spawnSync(process.execPath, args, { cwd, env: { ...process.env, ...env }, encoding: "utf8" });
}

test("engines of the process find the plugin", () => {
  expect(run({ LVSA_WAN_HOOK: "1" }, "--import", "@lvsa/hooks/register").stdout).toBe("@lvsa/hooks\n");
  expect(run({ LVSA_WAN_HOOK: "1" }).stdout).toBe("\n");
});

test("a bad variable ends the process at once", () => {
  const { status, stderr } = run(
    { LVSA_WAN_HOOK: "1", LVSA_N_BLOCKS: "x" },
    "--import",
    "@lvsa/hooks/register",
  );
  expect(status).not.toBe(0);
  expect(stderr).toContain('LVSA_N_BLOCKS is "x"; expected a whole number of at least 0');
});
