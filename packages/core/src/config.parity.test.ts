import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { installedLogLine, type ResolvedLvsaConfig, resolveLvsaConfig } from "./config.js";
import {
  computeLatentFrames,
  computePatchesPerFrame,
  computeReferenceLatentFrames,
  type GeometryRules,
  type HostGeometry,
} from "./pattern/geometry.js";
import { maskText } from "./pattern/mask-text.js";
import { PatternController } from "./pattern/pattern-controller.js";
import { familyGeometryRules } from "./testing/family-rules.js";
import { wanPatterns } from "./testing/wan-patterns.js";

interface Arguments {
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
  readonly window_size: number;
  readonly n_first_frames: number;
  readonly key_frame_interval: number | null;
  readonly auto_keyframes: boolean;
  readonly rotate_keyframes: boolean;
  readonly flashinfer: boolean;
  readonly show_mask: boolean;
  readonly show_mask_compact: string | null;
}
interface Input {
  readonly family: keyof typeof familyGeometryRules;
  readonly pipe: {
    readonly vae_scale_factor_temporal?: number;
    readonly vae_scale_factor_spatial?: number;
    readonly config: Readonly<Record<string, unknown>>;
  };
  readonly args: Arguments;
  readonly ref?: number;
  readonly scale?: number;
  readonly rank?: number;
  readonly world?: number;
}

const installs = goldenCases<Input, { text: string; value?: Record<string, unknown>; error?: string }>(
  "pattern/install.json",
);
const wan = wanPatterns<{
  install: {
    args: Omit<Arguments, "auto_keyframes"> & { auto: boolean; reference_latent_frames: number };
    result: Record<string, unknown>;
  }[];
}>();

function resolve({ family, pipe, args, ref, scale, rank, world }: Input): ResolvedLvsaConfig {
  const rules: GeometryRules = familyGeometryRules[family];
  const host: HostGeometry = {
    spatialFactor: pipe.vae_scale_factor_spatial,
    temporalFactor: pipe.vae_scale_factor_temporal,
    transformerConfig: pipe.config,
  };
  return resolveLvsaConfig(
    {
      windowSize: args.window_size,
      nFirstFrames: args.n_first_frames,
      keyFrameInterval: args.key_frame_interval,
      autoKeyframes: args.auto_keyframes,
      rotateKeyframes: args.rotate_keyframes,
      ...(scale === undefined ? {} : { sparsityScale: scale }),
      ...(ref === undefined ? {} : { referenceLatentFrames: ref }),
    },
    {
      latentFrames: computeLatentFrames(args.num_frames, host, rules),
      patchesPerFrame: computePatchesPerFrame(args.height, args.width, host, rules),
      referenceLatentFrames: computeReferenceLatentFrames(host, rules),
      // The installer asks the pipeline for this one even where the family has a default.
      temporalFactor: pipe.vae_scale_factor_temporal as number,
    },
    { worldSize: world ?? 1, rank: rank ?? 0 },
  );
}

describe("the installer's settings equal the Python original", () => {
  it.skipIf(installs.length === 0)("values, log lines and pictures", () => {
    for (const { input, output } of installs) {
      const label = JSON.stringify(input);
      if (output.error !== undefined) {
        expect(() => resolve(input), label).toThrow(expect.objectContaining({ code: "INVALID_GEOMETRY" }));
        continue;
      }
      const resolved = resolve(input);
      const { pattern } = new PatternController(resolved);
      const { installed_on, block_sparse_kernel, ...value } = output.value!;
      // The choice of a CUDA kernel library has no counterpart here.
      expect(block_sparse_kernel).toBe(false);
      expect(
        {
          T: resolved.frames,
          P: resolved.patchesPerFrame,
          W: resolved.window,
          original_window: resolved.window,
          n_first: resolved.nFirstFrames,
          kfi: resolved.keyframeInterval,
          ref: resolved.referenceLatentFrames,
          scale: resolved.sparsityScale,
          globals: pattern.globalFrames,
          expand: resolved.expandWindow,
        },
        label,
      ).toEqual(value);

      const lines = [...resolved.logLines];
      let text = lines.map((line) => `${line}\n`).join("");
      if (resolved.rank === 0) {
        const clip = {
          latentFrames: resolved.frames,
          patchesPerFrame: resolved.patchesPerFrame,
          referenceLatentFrames: resolved.referenceLatentFrames,
          temporalFactor: input.pipe.vae_scale_factor_temporal!,
        };
        text += `${installedLogLine(installed_on as number, clip, "SDPA")}\n`;
        if (input.args.show_mask) text += maskText(pattern, { style: "wide" });
        if (input.args.show_mask_compact === "once") text += maskText(pattern, { style: "compact" });
      }
      const withoutKernelChoice = output.text.replace(/^\[LVSA\] WARNING: --flashinfer .*\n/m, "");
      expect(text, label).toBe(withoutKernelChoice);
    }
  });

  it.skipIf(wan.length === 0)("in the Wan cases", () => {
    for (const { name, patterns, host } of wan) {
      for (const { args, result } of patterns.install) {
        const { auto, reference_latent_frames, ...rest } = args;
        const resolved = resolve({
          family: "wan",
          pipe: {
            vae_scale_factor_temporal: host.temporalFactor!,
            vae_scale_factor_spatial: host.spatialFactor!,
            config: host.transformerConfig,
          },
          args: { ...rest, auto_keyframes: auto, rotate_keyframes: false },
          ref: reference_latent_frames,
        });
        expect(
          {
            total_latent_frames: resolved.frames,
            num_patches: resolved.patchesPerFrame,
            window_size: resolved.window,
            n_first_frames: resolved.nFirstFrames,
            key_frame_interval: resolved.keyframeInterval,
            global_indices: new PatternController(resolved).pattern.globalFrames,
          },
          `${name} ${JSON.stringify(args)}`,
        ).toEqual(result);
      }
    }
  });
});
