/** What every family's pipeline owes its caller: options, bytes, numbers, states. */
import { type Device, type FolderReader, type LvsaError, memorySource } from "@lvsa/runtime";
import { requireCases } from "@lvsa/runtime/testing";
import { expect, it, test } from "vitest";
import { openCogVideoXPrompts } from "../pipelines/cogvideox/cogvideox-prompts.js";
import { HunyuanVideo15PromptEncoder } from "../pipelines/hunyuan/hunyuan-prompts.js";
import type { NotFiniteError } from "../pipelines/not-finite.js";
import type { PromptEncoder } from "../pipelines/prompt-embeds.js";
import { presetNames } from "../pipelines/sampling-presets.js";
import { openWanPrompts } from "../pipelines/wan/wan-prompts.js";
import type { RunState } from "../run-state/run-state.js";
import { encodeRunState, readRunState } from "../run-state/run-state-file.js";
import { drain, engineFamilies, forEachFamily } from "../testing-support/engine-families.js";

const promptEncoders: Readonly<
  Record<string, (device: Device, folder: FolderReader) => Promise<PromptEncoder>>
> = {
  wan: openWanPrompts,
  cogvideox: openCogVideoXPrompts,
  hunyuan: (gpu, folder) => HunyuanVideo15PromptEncoder.open(gpu, folder),
};

test("the reference folder holds whole checkpoints", () => {
  requireCases(engineFamilies);
});

forEachFamily(({ name, encoder, clip: o, weights }, at) => {
  const component = encoder ?? "transformer";

  const badOptions: [string, Record<string, unknown>, RegExp][] = [
    ["an unknown key", { num_frames: 9 }, /unknown option num_frames; did you mean numFrames\?/],
    ["a key of nobody", { quality: 1 }, /unknown option quality/],
    ["guidance that is no number", { guidanceScale: Number.NaN }, /guidanceScale: .*got NaN/],
    ["guidance below 0", { guidanceScale: -1 }, /guidanceScale: .*got -1/],
    ["no frame rate", { fps: 0 }, /fps: .*got 0/],
    ["a frame rate that no file holds", { fps: 2000 }, /fps: .*got 2000/],
    ["no prompt", { prompt: undefined }, /prompt: /],
    ["a prompt that is no text", { prompt: 3 }, /prompt: .*got 3/],
    ["flow shift 0", { flowShift: 0 }, /flowShift: .*got 0/],
    ["half a frame", { numFrames: 8.5 }, /numFrames: .*got 8.5/],
    ["more steps than the scheduler has", { numInferenceSteps: 5000 }, /numInferenceSteps: .*got 5000/],
    ["a second scale for one transformer", { guidanceScale2: 3 }, /guidanceScale2/],
    ["latents without their shape", { initialLatents: new Float32Array(4) }, /initialLatents: /],
    ["a signal that is none", { signal: {} }, /signal: /],
  ];
  it.each(badOptions)("refuses %s before it reads anything", async (_what, bad, message) => {
    const error = await at.engine.generate({ ...o, ...bad }).catch((e: LvsaError) => e);
    expect(error).toMatchObject({ code: "BAD_OPTION", isUsage: true });
    expect((error as LvsaError).message).toMatch(message);
    expect([...at.folder.bytesRead]).toEqual([]);
  });

  it("refuses an image where there is no place for one", async () => {
    const image = { data: new Uint8Array(32 * 48 * 3), width: 48, height: 32 };
    const imageEmbeds = { data: new Float32Array(1), shape: [1, 1, 1] };
    // Every checkpoint of Cosmos 3 makes videos of both.
    for (const bad of name === "cosmos3" ? [{ imageEmbeds }] : [{ image }, { imageEmbeds }]) {
      const failing = at.engine.generate({ ...o, ...bad });
      await expect(failing).rejects.toMatchObject({ code: "IMAGE_UNSUPPORTED", isUsage: true });
    }
    expect([...at.folder.bytesRead]).toEqual([]);
  });

  it("refuses given numbers that are none", async () => {
    const { latents } = await at.engine.generate(o);
    const data = latents.data.slice();
    data[5] = Number.NaN;
    const failing = at.engine.generate({ ...o, initialLatents: { ...latents, data } });
    await expect(failing).rejects.toMatchObject({ code: "INPUT_NOT_FINITE", isUsage: true });
  });

  it("says what had no effect, and does not state it as used", async () => {
    const { notes, settings } = await at.engine.generate({
      ...o,
      guidanceScale: 1,
      negativePrompt: "ugly",
      flowShift: 8,
    });
    expect(notes.join()).toMatch(/negativePrompt had no effect/);
    expect(settings.negative_prompt).toBeNull();
    const shifts = name === "wan" || name === "hunyuan";
    expect(settings.flow_shift).toBe(shifts ? 8 : null);
    if (!shifts) expect(notes.join()).toMatch(/flowShift had no effect/);
    const guided = await at.engine.generate({ ...o, guidanceScale: 4, negativePrompt: "ugly" });
    expect(guided.settings).toMatchObject({ negative_prompt: "ugly", guidance_scale: 4, seed: 3 });
    expect(guided.notes).toEqual([]);
  });

  it("runs a preset with one pass for each step, and says what it set", async (context) => {
    if (!presetNames(name).includes("lightx2v-4step")) return context.skip(`${name} has no presets`);
    const heard: string[] = [];
    const { numInferenceSteps: _, ...rest } = o;
    const options = { ...rest, preset: "lightx2v-4step", onTensor: (tensor: string) => heard.push(tensor) };
    const { settings, notes } = await at.engine.generate(options);
    expect(heard.filter((tensor) => tensor.endsWith("noise_cond"))).toHaveLength(4);
    expect(heard.filter((tensor) => tensor.endsWith("noise_uncond"))).toEqual([]);
    expect(settings).toMatchObject({
      ...{ preset: "lightx2v-4step", scheduler: "FlowMatchEulerDiscreteScheduler", flow_shift: 5 },
      ...{ num_inference_steps: 4, guidance_scale: 1, sigmas: "1, 0.75, 0.5, 0.25" },
    });
    expect(notes).toContainEqual(expect.stringMatching(/^Preset lightx2v-4step: .*guidanceScale 1/));
    const bad = await at.engine
      .generate({ ...rest, preset: "lightx2v-4step", guidanceScale: 5 })
      .catch((e) => e);
    expect(bad).toMatchObject({
      code: "BAD_OPTION",
      message: expect.stringMatching(/guidanceScale 1 \(got 5\)/),
    });
  });

  it("starts from what the scheduler starts from, and refuses levels that contradict the steps", async (context) => {
    if (!presetNames(name).includes("rcm-4step")) return context.skip(`${name} has no rCM models`);
    const latents: number[] = [];
    const run = { ...o, guidanceScale: 1, numInferenceSteps: 1 };
    for (const scheduler of [undefined, "RCMScheduler"]) {
      const { latents: final } = await at.engine.generate({ ...run, ...(scheduler ? { scheduler } : {}) });
      latents.push(final.data[0]!);
    }
    expect(latents[0]).not.toBe(latents[1]);
    for (const [bad, message] of [
      [{ scheduler: "RCMScheduler", sigmas: [1] }, /RCMScheduler .*takes none/],
      [{ sigmas: [1, 0.5] }, /2 sigmas and 1 steps/],
      [{ boundaryStepIndex: 1 }, /boundaryStepIndex .*second transformer/],
    ] as const) {
      const error = await at.engine.generate({ ...run, ...bad }).catch((e: LvsaError) => e);
      expect(error).toMatchObject({ code: "BAD_OPTION", message: expect.stringMatching(message) });
    }
  });

  it("reads the layers once for both prompts, and not again for prompts that it knows", async () => {
    const { bytesRead } = at.folder;
    await at.engine.generate({ ...o, guidanceScale: 1 });
    const one = bytesRead.get(component)!;
    if (!encoder) {
      // The transformer's other half is loaded too, once.
      at.folder.reset();
      await at.engine.generate({ ...o, guidanceScale: 4 });
      expect(bytesRead.get(component)).toBeLessThan(one);
      return;
    }
    at.folder.reset();
    await at.engine.generate({ ...o, guidanceScale: 4 });
    // The prompt is known; the empty one is read alone.
    expect(bytesRead.get(encoder)).toBeLessThanOrEqual(one);
    at.folder.reset();
    await at.engine.generate({ ...o, guidanceScale: 4 });
    expect(bytesRead.get(encoder)).toBeUndefined();
    at.folder.reset();
    await at.engine.generate({ ...o, prompt: "Two dogs.", negativePrompt: "A fish.", guidanceScale: 4 });
    // One pass: only rows of the embedding table come twice.
    expect(bytesRead.get(encoder)).toBeLessThan(1.5 * one);
  });

  it("reports loading up to its end", async () => {
    const ends = new Map<string, number>();
    const result = await at.engine.generate({
      ...o,
      onStage: ({ stage, component: part, done, total }) => {
        if (stage !== "denoise") ends.set(`${stage} ${part ?? ""}`.trim(), done / total);
      },
    });
    await drain(result);
    const expected = [`encode-prompt ${component}`, "load transformer", "load vae", "decode"];
    expect([...ends.keys()].sort()).toEqual(expected.sort());
    for (const [stage, end] of ends) expect([stage, end]).toEqual([stage, 1]);
  });

  it.each(["transformer", "vae"])("stops at numbers of the %s that are none", async (part) => {
    at.folder.poison(part, weights[part]!);
    const run = async () => drain(await at.engine.generate(o));
    const error = (await run().catch((e: unknown) => e)) as NotFiniteError;
    expect(error).toMatchObject({ code: "NOT_FINITE", component: part, isUsage: false });
    expect(error.message).toContain(part);
    expect(error.step).toBe(part === "transformer" ? 0 : undefined);
    expect(error.latents!.data.every(Number.isFinite)).toBe(true);
  });

  it("goes on from the state after any step, to the same latents and frames", async () => {
    const clip = { ...o, numInferenceSteps: 3 };
    const files: Uint8Array[] = [];
    const onState = (state: RunState) => void files.push(encodeRunState(state));
    const whole = await at.engine.generate({ ...clip, onState });
    const frames = await drain(whole);
    expect(files).toHaveLength(3);
    const { seed: _, ...rest } = clip;
    for (const [i, file] of files.entries()) {
      using other = await at.open();
      const { state } = (await readRunState(memorySource(file)))!;
      expect(state.step).toBe(i + 1);
      const steps: number[] = [];
      const onStep = ({ index }: { index: number }) => void steps.push(index);
      const resumed = await other.generate({ ...rest, resumeFrom: state, onStep });
      expect(steps).toEqual([0, 1, 2].slice(i + 1));
      expect(resumed.latents).toEqual(whole.latents);
      expect(resumed.settings).toEqual(whole.settings);
      if (i === 1) expect(await drain(resumed)).toEqual(frames);
      const changed = { ...rest, resumeFrom: state, prompt: "A dog." };
      await expect(other.generate(changed)).rejects.toMatchObject({ code: "RUN_CHANGED", isUsage: true });
      await expect(other.generate({ ...clip, resumeFrom: state })).rejects.toMatchObject({
        code: "BAD_OPTION",
      });
    }
  });

  it("decodes latents of an earlier run, with the autoencoder alone", async () => {
    const result = await at.engine.generate(o);
    const frames = await drain(result);
    const size = { numFrames: o.numFrames!, height: 32, width: 48 };
    using other = await at.open();
    at.folder.reset();
    const decoded = await other.decode({ ...size, latents: result.latents, fps: 5 });
    const { frameCount } = result;
    expect(decoded).toMatchObject({ frameCount, height: 32, width: 48, fps: 5 });
    expect(await drain(decoded)).toEqual(frames);
    expect([...at.folder.bytesRead.keys()]).toEqual(["vae"]);
    const { latents } = result;
    for (const [bad, code] of [
      [{ ...size, latents, numFrames: o.numFrames! + 4 }, "LATENTS_SHAPE"],
      [
        { ...size, latents: { ...latents, data: latents.data.slice().fill(Number.NaN, 0, 1) } },
        "INPUT_NOT_FINITE",
      ],
      [{ ...size, latents: new Float32Array(2) as never }, "BAD_OPTION"],
      [{ ...size, latents, fps: 0 }, "BAD_OPTION"],
    ] as const) {
      await expect(other.decode(bad)).rejects.toMatchObject({ code, isUsage: true });
    }
  });

  it("takes embeddings instead of a prompt, without the text encoder", async (context) => {
    const open = promptEncoders[name];
    if (!open || !encoder) {
      context.skip(`${name} reads token ids, not embeddings`);
      return;
    }
    const { latents } = await at.engine.generate({ ...o, guidanceScale: 1 });
    const length = o.maxSequenceLength ?? at.engine.pipeline.defaults.maxSequenceLength;
    const [encoded] = await (await open(at.device, at.folder)).embed([o.prompt!], length, {});
    const { embeds } = encoded!;
    const { prompt: _, ...rest } = o;
    at.folder.reset();
    const given = await at.engine.generate({ ...rest, guidanceScale: 1, promptEmbeds: embeds });
    expect(at.folder.bytesRead.get(encoder)).toBeUndefined();
    expect(given.settings.prompt).toBeNull();
    expect(given.latents.data).toEqual(latents.data);

    const narrow = { data: embeds.data.subarray(1), shape: [1, 1, embeds.data.length - 1] };
    const bad = { code: "BAD_OPTION", isUsage: true };
    await expect(at.engine.generate({ ...rest, promptEmbeds: narrow })).rejects.toMatchObject(bad);
    await expect(at.engine.generate({ ...o, promptEmbeds: embeds })).rejects.toMatchObject(bad);
    const broken = { ...embeds, data: embeds.data.slice().fill(Number.NaN, 0, 1) };
    await expect(at.engine.generate({ ...rest, promptEmbeds: broken })).rejects.toMatchObject({
      code: "INPUT_NOT_FINITE",
      isUsage: true,
    });
  });
});
