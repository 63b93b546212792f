/**
 * Whole runs of the Python hooks on a stand-in host, replayed on a host that is not ours: own buffers, no geometry and
 * no step with its calls. Routes and lines are equal except where the original is wrong; each of those is listed.
 */
import type { Device } from "@lvsa/runtime";
import { goldenCases, isForeignReference, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createForeignHook, type ForeignTensor } from "./index.js";

interface Segment {
  readonly seq_len: number;
  readonly passes?: number;
  /** Text tokens; null: the model has no text stream. */
  readonly enc: number | null;
  readonly world?: number;
}
interface Input {
  readonly model: "wan" | "hunyuan" | "cosmos3";
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  readonly layers: number;
  readonly script: readonly Segment[];
}
interface SegmentOutput {
  readonly routes_rle: readonly [string, number][];
  readonly text: string;
}
interface Output {
  readonly install_text: string;
  readonly segments: readonly SegmentOutput[];
}

interface Difference {
  readonly reason: string;
  /** Changes what is expected; `error`: setting up is refused. */
  readonly change: (golden: Output, input: Input) => Output | { readonly error: string };
}

const silent = /\[LVSA-FALLBACK\][^\n]*\n/g;

/** The stand-in's own tokens per frame. The original divides the length by the frames instead. */
const PATCHES = 4;

const mismatch = (input: Input, tokens: number): string => {
  const T = input.env.LVSA_TOTAL_LATENT_FRAMES;
  const details =
    input.model === "wan" ? `T_lat=${T}, full_seq=${tokens}, distributed=False` : `step=0, T_lat=${T}`;
  return (
    `[LVSA-FALLBACK] origin=${input.model}_hook reason=geometry_mismatch seq_len=${tokens} ${details} ` +
    "-- falling back to DENSE attention (set LVSA_WARN_FALLBACK=0 to silence)\n"
  );
};

/** Segments whose length is not frames · 4 fall back, instead of engaging with another number of tokens per frame. */
const exactLength: Difference = {
  reason: "a length that merely divides is a mismatch: 48 tokens are not 24 frames of 2",
  change: (golden, input) => ({
    ...golden,
    segments: golden.segments.map((segment, i) => {
      const { seq_len, passes = 1 } = input.script[i]!;
      if (seq_len === Number(input.env.LVSA_TOTAL_LATENT_FRAMES) * PATCHES) return segment;
      // Every call is counted, as before.
      const text = segment.text.replace(
        /^(\[LVSA\] engaged|\[LVSA-MASK\])[^\n]*\n([ \d]+[ |][^\n]*\n|G=[^\n]*\n)*/gm,
        "",
      );
      return { routes_rle: [["dense", input.layers * passes]], text: mismatch(input, seq_len) + text };
    }),
  }),
};

const replaceText = (from: string | RegExp, to: string) => (golden: Output) => ({
  ...golden,
  segments: golden.segments.map((segment) => ({ ...segment, text: segment.text.replace(from, to) })),
});

const refused = (error: string) => () => ({ error });

const DIFFERENCES: Readonly<Record<string, Difference>> = {
  "warm-up that happens to divide": exactLength,
  "second clip of another length, divisible by accident": exactLength,
  "mask log once over two clips": exactLength,
  "T_lat 0": {
    reason: "no frames is no clip: refused by name",
    change: refused('LVSA_TOTAL_LATENT_FRAMES is "0"'),
  },
  "T_lat negative": { reason: "as above", change: refused('LVSA_TOTAL_LATENT_FRAMES is "-4"') },
  "manual interval under the temporal factor": {
    reason: "SPARSE or DENSE is told from the pattern, not from the interval",
    change: replaceText("DENSE (T_lat <= ref)", "SPARSE"),
  },
  "manual interval 20, expand off (ignored)": {
    reason: "LVSA_EXPAND_WINDOW=0 is honoured: windows do not grow past keyframes",
    change: (golden) => golden,
  },
  "no anchors, no window": {
    reason: "a query that sees nothing is refused when the hook is set up",
    change: refused("every query would attend to nothing"),
  },
  "warnings off does not change with the environment": {
    reason: "the switch is read with all other settings, not when a module is loaded",
    change: replaceText(silent, ""),
  },
  "empty sequence": {
    reason: "falls back instead of dividing by zero",
    change: (golden, input) => ({
      ...golden,
      segments: [{ routes_rle: [["dense", 1]], text: mismatch(input, 0) }],
    }),
  },
  "no encoder stream": {
    reason: "a clip without text can be sparse as well",
    change: (golden) => ({
      ...golden,
      segments: [
        {
          routes_rle: [["lvsa", 2]],
          text: "[LVSA] engaged (hunyuan): T_lat=24 P=4 seq_len=96 kfi=5 W=1 |G|=5 -> SPARSE\n",
        },
      ],
    }),
  },
  "no encoder and bad length": {
    reason: "the length is what is wrong, with and without text; one line per generation and length",
    change: (golden, input) => ({
      ...golden,
      segments: golden.segments.map((segment, i) => ({
        ...segment,
        text: i === 0 ? mismatch(input, 50) : segment.text.replace(silent, ""),
      })),
    }),
  },
  "repeat K/V": {
    reason: "the kernel reads grouped keys and values as they are: the variable is named as without effect",
    change: (golden) => ({
      ...golden,
      install_text: golden.install_text.replace(
        "[LVSA-hook] LVSA_REPEAT_KV=1 -> repeat-KV (no native GQA)",
        "[LVSA] Warning: LVSA_REPEAT_KV has no effect: the kernel reads grouped keys and values as they are",
      ),
    }),
  },
  "unknown dispatch backend": {
    reason: "there is one kernel: the variable is named as without effect, and nothing fails later",
    change: () => ({
      install_text:
        "[LVSA] Warning: LVSA_DISPATCH_BACKEND has no effect: there is one WebGPU kernel to dispatch to\n" +
        "[LVSA-hook] Installed LVSA hook on Cosmos3CrossAttention (T_lat=24)\n",
      segments: [
        {
          routes_rle: [["lvsa", 1]],
          text: "[LVSA] engaged (cosmos3): T_lat=24 P=4 seq_len=96 kfi=5 W=1 |G|=5 -> SPARSE\n",
        },
      ],
    }),
  },
  "time and memory logs": {
    reason: "WebGPU's own numbers; step 0 is timed too, from its first call",
    change: (golden) => golden,
  },
};

/** Ranks do not exist in one process with one GPU. */
const withRanks = ({ script }: Input) => script.some(({ world = 1 }) => world > 1);

const cases = goldenCases<Input, Output>("pattern/hook_runs.json");
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

function tensor(tokens: number): ForeignTensor {
  const usage = 0x80 | 0x4 | 0x8; // STORAGE | COPY_SRC | COPY_DST: Node has no GPU globals.
  return {
    buffer: device.gpu.createBuffer({ size: Math.max(64, tokens * 64), usage }),
    shape: [1, tokens, 2, 8],
  };
}

/** What a host of ours sees and prints. */
function replay(input: Input): Output {
  let text = "";
  const taken = (): string => {
    const said = text;
    text = "";
    return said;
  };
  using hook = createForeignHook({
    gpu: device.gpu,
    family: input.model,
    model: { referenceLatentFrames: 21, temporalFactor: 4 },
    env: {
      [`LVSA_${input.model.toUpperCase()}_HOOK`]: "1",
      LVSA_PATCHES_PER_FRAME: String(PATCHES),
      ...input.env,
    },
    logger: (line) => {
      text += `${line}\n`;
    },
  })!;
  const install_text = taken();
  const segments = input.script.map(({ seq_len, passes = 1, enc }): SegmentOutput => {
    const routes: [string, number][] = [];
    const [query, key, value, output] = [seq_len, seq_len, seq_len, seq_len].map(tensor) as [
      ForeignTensor,
      ForeignTensor,
      ForeignTensor,
      ForeignTensor,
    ];
    const context = enc === null ? {} : { contextKey: tensor(enc), contextValue: tensor(enc) };
    for (let pass = 0; pass < passes; pass++) {
      for (let layer = 0; layer < input.layers; layer++) {
        const route = hook.attend({ layer, query, key, value, output, ...context }) ? "lvsa" : "dense";
        const last = routes.at(-1);
        if (last?.[0] === route) last[1] += 1;
        else routes.push([route, 1]);
      }
    }
    return { routes_rle: routes, text: taken() };
  });
  return { install_text, segments };
}

describe("hooks on a host that is not ours", () => {
  it("there are runs, and every listed difference is one of them", () => {
    requireCases(cases);
    if (isForeignReference()) return;
    const names = new Set(cases.map(({ input }) => input.name));
    expect(Object.keys(DIFFERENCES).filter((name) => !names.has(name))).toEqual([]);
  });

  it.each(cases.filter(({ input }) => !withRanks(input)))(
    "$input.model: $input.name",
    ({ input, output }) => {
      const { install_text, segments } = output;
      const golden = { install_text, segments };
      const difference = DIFFERENCES[input.name];
      const expected = difference?.change(golden, input) ?? golden;
      if ("error" in expected) {
        expect(() => replay(input), difference?.reason).toThrow(expected.error);
        return;
      }
      const actual = replay(input);
      if (input.name.startsWith("time and memory")) return expectTimes(actual, golden);
      if (input.name.includes("expand off")) return expectNarrowWindows(actual, golden);
      expect(actual, difference?.reason).toEqual(expected);
    },
  );
});

function expectTimes(actual: Output, golden: Output): void {
  const shape = (text: string) =>
    text
      .replace(/dt=\d+\.\d{3}s/g, "dt=…s")
      .replace(/(cuda|webgpu)=0 alloc=\d+\.\d\dGB reserved=\d+\.\d\dGB peak=\d+\.\d\dGB/g, "…");
  const firstStep = "[LVSA-TIME] step=0 dt=…s\n";
  const text = shape(actual.segments[0]!.text);
  expect(text).toContain(firstStep);
  expect(text.replace(firstStep, "")).toBe(shape(golden.segments[0]!.text));
  expect(actual.segments[0]!.routes_rle).toEqual(golden.segments[0]!.routes_rle);
}

function expectNarrowWindows(actual: Output, golden: Output): void {
  const [ours, theirs] = [actual.segments[0]!.text, golden.segments[0]!.text];
  const engaged = (text: string) => text.split("\n")[0];
  expect(engaged(ours)).toBe(engaged(theirs));
  // Frame 5 is a keyframe and in the window of 4: without growth the window ends there.
  expect(theirs).toContain(" 4 |G.WWWX....");
  expect(ours).toContain(" 4 |G..WWX....");
}

describe("a host that says where a generation begins", () => {
  it("gets steps and masks from the start, also for a clip of equal length", () => {
    const lines: string[] = [];
    using hook = createForeignHook({
      gpu: device.gpu,
      family: "wan",
      model: { referenceLatentFrames: 8, temporalFactor: 4 },
      env: {
        LVSA_WAN_HOOK: "1",
        LVSA_TOTAL_LATENT_FRAMES: "24",
        LVSA_PATCHES_PER_FRAME: "4",
        LVSA_WINDOW_SIZE: "4",
        LVSA_CFG_PASSES: "1",
        LVSA_MASK_LOG: "1",
      },
      logger: (line) => lines.push(line),
    })!;
    const [query, key, value, output] = [96, 96, 96, 96].map(tensor) as [
      ForeignTensor,
      ForeignTensor,
      ForeignTensor,
      ForeignTensor,
    ];
    const clip = () => {
      lines.length = 0;
      for (let call = 0; call < 6; call++) hook.attend({ layer: call % 2, query, key, value, output });
      return lines.filter((line) => !line.includes("calibrated"));
    };
    const first = clip();
    expect(first.map((line) => line.slice(0, 20))).toEqual([
      "[LVSA] engaged (wan)",
      "[LVSA-MASK] step=0  ",
      "[LVSA-MASK] step=1  ",
      "[LVSA-MASK] step=2  ",
    ]);
    hook.restart();
    expect(clip()).toEqual(first);
    // Without a word the counter goes on, as in the Python plugin.
    expect(clip().map((line) => line.slice(0, 18))).toEqual(
      [3, 4, 5].map((step) => `[LVSA-MASK] step=${step}`),
    );
  });
});
