import { describe, expect, it } from "vitest";
import { runProgram } from "../program.js";

async function run(args: readonly string[], env: Record<string, string>) {
  let out = "";
  let err = "";
  const io = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    redraw: () => {},
    isTerminal: false,
    env,
  };
  const code = await runProgram(["env", ...args], io);
  return { code, out, err };
}

describe("lvsa env", () => {
  it("shows value seen, value in use, default and who set it", async () => {
    const { code, out, err } = await run([], {
      LVSA_WAN_HOOK: "yes",
      LVSA_CONFIG: '{"window_size": 8}',
      LVSA_WNDOW: "1",
    });
    expect(code).toBe(0);
    expect(out).toMatch(/^LVSA_WAN_HOOK +"yes" +on +off +variable$/m);
    expect(out).toMatch(/^LVSA_WINDOW_SIZE +8 +the model's \(12\) +LVSA_CONFIG$/m);
    expect(out).toMatch(/^LVSA_CFG_PASSES +2 +default$/m);
    expect(err).toContain("warning: unknown variable LVSA_WNDOW");
  });

  it("speaks JSON", async () => {
    const { out } = await run(["--json"], { LVSA_WINDOW_SIZE: " 8 " });
    const { variables } = JSON.parse(out) as { variables: { variable: string }[] };
    expect(variables.find(({ variable }) => variable === "LVSA_WINDOW_SIZE")).toMatchObject({
      seen: " 8 ",
      value: 8,
      set_by: "variable",
    });
  });

  it("shows the table and ends with 2 where a value is bad", async () => {
    const { code, out, err } = await run([], { LVSA_WAN_HOOK: "1", LVSA_WINDOW_SIZE: "x" });
    expect(code).toBe(2);
    expect(out).toMatch(/^LVSA_WINDOW_SIZE +"x" +the model's \(12\) +default$/m);
    expect(err).toContain('LVSA_WINDOW_SIZE is "x"; expected a whole number of at least 0');
  });
});
