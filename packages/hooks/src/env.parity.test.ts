/** Variables as the Python plugin reads them. Every difference is listed with its reason. */
import { goldenCases, isForeignReference, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import type { HookSettings } from "./env-schema.js";
import { patchCandidates } from "./geometry.js";
import { resolveHooks } from "./resolve-hooks.js";

type Env = Readonly<Record<string, string>>;
interface ConfigOutput {
  readonly value?: Readonly<Record<string, unknown>>;
  readonly error?: string;
  readonly latent?: Readonly<Record<string, unknown>>;
}

/** What the original fills in where nothing is said. Here that is the model's, or follows from other settings. */
const ORIGINAL_DEFAULTS: Readonly<Record<string, unknown>> = {
  window_size: 12,
  n_first_frames: 4,
  key_frame_interval: 16,
  auto_keyframes: true,
  // Here on by default, with an automatic interval: the serving scripts of the original set it.
  rotate_keyframes: false,
  expand_window: true,
  backend: "sdpa",
  vae_temporal_factor: 4,
  total_latent_frames: null,
  sparsity_scale: 1,
  // 21 fits Wan alone; here the model's adapter says it.
  reference_latent_frames: 21,
};

/** What both make of the settings that were said. */
function asOriginal(settings: HookSettings): Record<string, unknown> {
  const named = Object.entries(ORIGINAL_DEFAULTS).map(([name, fallback]) => {
    const own = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) as keyof HookSettings;
    return [name, settings[own] ?? fallback];
  });
  return Object.fromEntries(named);
}

const LATENT = /^(window_size|n_first_frames|key_frame_interval)$/;

/** The original goes on with these; here they are refused by name. */
const REFUSED: readonly (readonly [reason: string, test: (env: Env) => boolean])[] = [
  [
    "frames are not negative",
    (env) =>
      ["LVSA_WINDOW_SIZE", "LVSA_N_FIRST_FRAMES", "LVSA_KEY_FRAME_INTERVAL"].some((name) =>
        /^-/.test(env[name] ?? ""),
      ),
  ],
  ["a number beyond all clips", (env) => env.LVSA_WINDOW_SIZE === "99999999999999999999"],
  [
    "a factor or a training length is at least 1",
    (env) =>
      ["LVSA_VAE_TEMPORAL_FACTOR", "LVSA_REFERENCE_LATENT_FRAMES", "LVSA_TOTAL_LATENT_FRAMES"].some((name) =>
        /^(0|-\d+)$/.test(env[name] ?? ""),
      ),
  ],
  [
    "a scale is a number of at least 0",
    (env) => ["-1", "nan", "inf"].includes(env.LVSA_SPARSITY_SCALE ?? ""),
  ],
  ["there is no such backend", (env) => !/^(sdpa|flashinfer)$/i.test(env.LVSA_BACKEND ?? "sdpa")],
  [
    "neither on nor off: the original silently takes them for off",
    (env) =>
      Object.entries(env).some(
        ([name, text]) => /KEYFRAMES|EXPAND/.test(name) && ["on", "y", "2", " 1"].includes(text),
      ),
  ],
  [
    "LVSA_CONFIG is merged with the other variables, so that they are read all the same",
    (env) => env.LVSA_CONFIG === "{}" && env.LVSA_WINDOW_SIZE === "bad",
  ],
];

/** Merged values where the original ignores all variables beside LVSA_CONFIG. */
const MERGED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  [JSON.stringify({ LVSA_CONFIG: '{"window_size": 24}', LVSA_WINDOW_SIZE: "8", LVSA_SPARSITY_SCALE: "0.5" })]:
    {
      window_size: 8,
      sparsity_scale: 0.5,
    },
  [JSON.stringify({ LVSA_CONFIG: "{}", LVSA_WINDOW_SIZE: "8" })]: { window_size: 8 },
};

const ON = { LVSA_WAN_HOOK: "1" };
const environments = goldenCases<{ env: Env }, ConfigOutput>("pattern/config_env.json");
const texts = goldenCases<{ json: string }, ConfigOutput>("pattern/config_json.json");
const patches = goldenCases<{ env: Env }, { value: number[] }>("pattern/patches_per_frame.json");

describe("settings from variables", () => {
  it("there are cases, and each listed difference is one of them", () => {
    requireCases(environments);
    if (isForeignReference()) return;
    for (const [reason, test] of REFUSED) {
      expect(
        environments.some(({ input }) => test(input.env)),
        reason,
      ).toBe(true);
    }
  });

  it.each(environments.map(({ input, output }) => ({ env: input.env, output })))(
    "$env",
    ({ env, output }) => {
      const read = () => resolveHooks({ env: { ...ON, ...env } });
      const refusal = REFUSED.find(([, test]) => test(env));
      if (output.error || refusal) {
        const variable = Object.keys(env).find((name) => name !== "LVSA_CONFIG" || output.error) ?? "";
        expect(read, refusal?.[0]).toThrow(expect.objectContaining({ code: "INVALID_VARIABLE" }));
        // The message names variable, value and accepted form.
        expect(read).toThrow(`${variable} is ${JSON.stringify(env[variable])}; expected `);
        return;
      }
      const { settings } = read();
      const merged = MERGED[JSON.stringify(env)] ?? {};
      expect(asOriginal(settings)).toEqual({ ...output.value, ...merged });
    },
  );

  it("become latent frames by floor division", () => {
    for (const { input, output } of environments) {
      if (output.error || REFUSED.some(([, test]) => test(input.env)) || MERGED[JSON.stringify(input.env)])
        continue;
      const { settings } = resolveHooks({ env: input.env });
      const own = asOriginal(settings);
      const latent = Object.fromEntries(
        Object.entries(own)
          .filter(([name]) => LATENT.test(name))
          .map(([name, frames]) => [
            `latent_${name}`,
            Math.floor((frames as number) / (own.vae_temporal_factor as number)),
          ]),
      );
      expect(latent, JSON.stringify(input.env)).toEqual(output.latent);
    }
  });
});

describe("settings from LVSA_CONFIG", () => {
  /** No type checks in the original: these fail, or mean something else, at the first call. */
  const badTypes = [
    '{"window_size": "8"}',
    '{"window_size": 7.5}',
    '{"auto_keyframes": "false"}',
    '{"auto_keyframes": 0}',
    '{"total_latent_frames": 0}',
    '{"sparsity_scale": NaN}',
    '{"vae_temporal_factor": 0}',
  ];
  /** Dropped by the original without a word. */
  const unknown: Readonly<Record<string, string>> = {
    '{"window_size": 8, "unknown_key": 42}': "LVSA_CONFIG has an unknown entry unknown_key",
    '{"latent_window_size": 9}': "LVSA_CONFIG has an unknown entry latent_window_size",
    '{"WINDOW_SIZE": 8}': "LVSA_CONFIG has an unknown entry WINDOW_SIZE; did you mean window_size?",
  };

  it("there are cases", () => requireCases(texts));

  it.each(texts.map(({ input, output }) => ({ json: input.json, output })))("$json", ({ json, output }) => {
    const read = () => resolveHooks({ env: { ...ON, LVSA_CONFIG: json } });
    // An empty text is as good as none, as in the environment of the original.
    if (json === "") expect(asOriginal(read().settings)).toEqual(ORIGINAL_DEFAULTS);
    else if (output.error || badTypes.includes(json)) {
      expect(read).toThrow(expect.objectContaining({ code: "INVALID_VARIABLE" }));
    } else if (json === '{"window_size": null}') {
      // Nothing said, where the original fails at the first call.
      expect(asOriginal(read().settings)).toEqual(ORIGINAL_DEFAULTS);
    } else {
      const { settings, warnings } = read();
      expect(asOriginal(settings)).toEqual(output.value);
      expect(warnings.filter((line) => line.includes("unknown"))).toEqual(
        unknown[json] ? [unknown[json]] : [],
      );
    }
  });
});

describe("tokens per frame", () => {
  const positive = (text: string | undefined) => text === undefined || /^[ +\d_,]*[1-9][\d_ ,]*$/.test(text);
  const isBad = (env: Env) =>
    Object.entries(env).some(
      ([name, text]) => !(name === "LVSA_PATCHES_PER_FRAME" && text === "") && !positive(text),
    );

  it("there are cases", () => requireCases(patches));

  it.each(patches.map(({ input, output }) => ({ env: input.env, output })))("$env", ({ env, output }) => {
    // Bad values: the original takes 1560, or never engages; here they are refused.
    if (isBad(env)) {
      expect(() => resolveHooks({ env: { ...ON, ...env } })).toThrow(
        expect.objectContaining({ code: "INVALID_VARIABLE" }),
      );
      return;
    }
    const { settings } = resolveHooks({ env });
    const said = settings.patchesPerFrame ?? (settings.videoHeight && settings.videoWidth);
    // 1560 is 832x480 in one model: no guess where nothing, half of it, or a picture below one token is said.
    const isGuess = !said || (output.value[0] === 1560 && env.LVSA_VIDEO_HEIGHT === "15");
    expect(patchCandidates(settings)).toEqual(isGuess ? [] : output.value);
  });
});
