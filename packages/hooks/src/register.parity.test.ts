/** What registration does with an environment: which models' layers it takes, and what it says. */
import { AttentionDispatcher } from "@lvsa/core";
import { goldenCases, isForeignReference, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { lvsaPlugin } from "./index.js";
import { fakeEngine } from "./testing-support/fake-engine.js";

interface Input {
  readonly env?: Readonly<Record<string, string>>;
  readonly note?: string;
}
interface Output {
  readonly text: string;
  readonly backend_names?: readonly string[];
  readonly patched?: readonly string[];
}

const FAMILIES = ["hunyuan", "wan", "cosmos3"] as const;
const cases = goldenCases<Input, Output>("pattern/register.json");

/** Neither on nor off, or a clip without frames: the original is off, or on and never engages. */
const isRefused = (env: Readonly<Record<string, string>>) =>
  Object.entries(env).some(
    ([name, text]) =>
      (/_HOOK$|REPEAT_KV$/.test(name) && ["on", " 1"].includes(text)) ||
      (name === "LVSA_TOTAL_LATENT_FRAMES" && /^(0|-\d+)$/.test(text)),
  );

/** The original swallows these and starts dense. */
const isSwallowed = (text: string) => text.includes("installation failed");

/** The lines of the original that have a place here. */
function wanted(text: string, env: Readonly<Record<string, string>>): string[] {
  const lines = text.split("\n").filter(Boolean);
  return (
    lines
      // Clips tell their own length, so the hook is installed without the variable.
      .map((line) => {
        const hook = /^\[LVSA\] Warning: LVSA_(\w+)_HOOK=1 but LVSA_TOTAL_LATENT_FRAMES not set$/.exec(
          line,
        )?.[1];
        if (!hook) return line;
        const layers = {
          WAN: "WanSelfAttention",
          HUNYUAN: "HunyuanVideo15Attention",
          COSMOS3: "Cosmos3CrossAttention",
        };
        const scale = hook === "WAN" ? ", sparsity_scale=1.0" : "";
        return `[LVSA-hook] Installed LVSA hook on ${layers[hook as keyof typeof layers]} (T_lat=auto${scale})`;
      })
      // Variables about kernels that do not exist here are named as without effect, once per engine.
      .filter((line) => !/flashinfer|dispatch backend|repeat-KV/.test(line) || env === undefined)
  );
}

describe("registration", () => {
  it("there are cases", () => requireCases(cases));

  it.each(
    cases
      .filter(({ input }) => input.env && !input.note)
      .map(({ input, output }) => ({ env: input.env!, output })),
  )("$env", async ({ env, output }) => {
    const said: string[] = [];
    const taken: string[] = [];
    const run = async () => {
      for (const family of FAMILIES) {
        const { engine, lines, claimed } = fakeEngine(family, new AttentionDispatcher());
        const undo = await lvsaPlugin({ env }).setup(engine);
        if (claimed().length > 0) taken.push(family);
        expect(engine.attention.backends).toContain("LVSA");
        said.push(...lines.filter((line) => line.startsWith("[LVSA-hook]")));
        undo[Symbol.dispose]();
        expect(claimed()).toEqual([]);
        expect(engine.attention.backends).toEqual(["DENSE"]);
      }
    };
    if (isRefused(env) || isSwallowed(output.text)) {
      await expect(run()).rejects.toThrow(expect.objectContaining({ code: "INVALID_VARIABLE" }));
      return;
    }
    await run();
    const asked = FAMILIES.filter((family) =>
      /^(1|true|yes)$/i.test(env[`LVSA_${family.toUpperCase()}_HOOK`] ?? ""),
    );
    expect(said).toEqual(wanted(output.text, env));
    expect(taken).toEqual(asked);
    // Where the original patched a class, the layers are taken here.
    for (const family of output.patched ?? []) expect(taken).toContain(family);
  });

  it("done twice takes the layers once", async (context) => {
    const twice = cases.find(({ input }) => input.note === "registration run twice in one process");
    if (!twice) {
      if (!isForeignReference())
        throw new Error("the repository's reference data holds no second registration");
      return context.skip("the reference folder holds no second registration");
    }
    expect((twice.output as { wrapped_twice?: boolean }).wrapped_twice).toBe(true);
    const { engine } = fakeEngine("wan", new AttentionDispatcher());
    const plugin = lvsaPlugin({ env: twice.input.env! });
    using _first = await plugin.setup(engine);
    await expect(plugin.setup(engine)).rejects.toThrow(expect.objectContaining({ code: "LAYER_CLAIMED" }));
  });

  it("a missing package is an error that says how to install it", async () => {
    const { engine } = fakeEngine("cosmos3", new AttentionDispatcher());
    const missing = lvsaPlugin({
      env: { LVSA_COSMOS3_HOOK: "1", LVSA_TOTAL_LATENT_FRAMES: "48" },
      packages: { cosmos3: () => Promise.reject(new Error("not there")) },
    });
    await expect(missing.setup(engine)).rejects.toThrow(
      expect.objectContaining({ code: "ADAPTER_MISSING", fix: "npm install @lvsa/cosmos3-processor" }),
    );
  });
});
