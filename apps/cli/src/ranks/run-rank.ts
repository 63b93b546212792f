/** Any rank but the first: runs what rank 0 runs, and writes nothing. */
import { Engine, type GenerateOptions } from "@lvsa/diffusion";
import { inspectCheckpoint } from "@lvsa/diffusion/catalog";
import { ProcessGroup } from "@lvsa/diffusion/node";
import { processEnvironment } from "@lvsa/hooks";
import { familyAdapters } from "@lvsa/hooks/families";
import { chooseCheckpoint, withStudent } from "../generate/checkpoint.js";
import { hookPlugins } from "../generate/hooks.js";
import { readLatents } from "../generate/latents-file.js";
import { openLoras } from "../generate/loras.js";
import { blockOffload, checkMemory } from "../generate/memory-check.js";
import { openDevice } from "../generate/open-device.js";
import { readPrompts } from "../generate/prompts-file.js";
import type { RunReporter } from "../generate/reporter.js";
import { applyRiflex } from "../generate/riflex.js";
import { readKeptRun } from "../generate/run-record.js";
import { installSparse } from "../generate/sparse.js";
import { readImage } from "../image/read-image.js";
import { type GenerateCommandOptions, parseGenerateOptions } from "../options/generate-options.js";
import { generationOptions } from "../options/generation-flags.js";
import { tilingOf } from "../options/tiling-options.js";
import { parallelOf } from "./rank-processes.js";
import { deviceOf, groupsOf, type RankTask, rankTask } from "./rank-task.js";

/** @throws what makes this rank fail; the others have been told */
export async function runRank(address: string, rank: number, reporter: RunReporter): Promise<void> {
  await using group = await ProcessGroup.join(address, rank);
  try {
    await runTask(group, rankTask.parse(group.task), reporter);
    await group.leave();
  } catch (error) {
    group.fail(error);
    throw error;
  }
}

async function runTask(group: ProcessGroup, task: RankTask, reporter: RunReporter): Promise<void> {
  process.chdir(task.folder);
  const typed = parseGenerateOptions(task.given);
  const checkpoint = await chooseCheckpoint(typed);
  const { options } = withStudent(checkpoint, typed);
  const kept = task.resume === null ? undefined : await readKeptRun(task.resume);
  const state = kept?.kind === "state" ? kept : undefined;
  const plugins = hookPlugins(
    options,
    reporter,
    state ? { ...state.record.environment } : processEnvironment(),
  );
  const given = await givenFiles(options);
  const { folder } = checkpoint;
  const inspection = await inspectCheckpoint(folder);
  const device = await openDevice(
    { ...options, device: deviceOf(group.rank, task.devices, options) },
    reporter,
  );
  try {
    const rehearsal = await checkMemory(inspection, options, device, { folder, image: given.image });
    if (rehearsal) await device.warm(rehearsal.kernels);
    const isOffloaded = rehearsal?.isOffloaded ?? options.offload === true;
    const { context, guidance } = groupsOf(group.rank, options);
    const vaeTiling = tilingOf(options);
    using engine = await Engine.open(folder, {
      ...{ device, precision: options.precision, plugins, log: (line) => reporter.log(line) },
      loras: await openLoras(options),
      ...(isOffloaded ? { offload: blockOffload(device) } : {}),
      parallel: parallelOf(group, context, guidance),
      // Of pictures that are encoded.
      ...(vaeTiling ? { vaeTiling } : {}),
    });
    const { pipeline } = engine;
    const { seed: _typed, prompt = "", ...asked } = generationOptions(options);
    const prompts = options.prompts === undefined ? undefined : await readPrompts(options.prompts);
    const size = pipeline.videoSize({ ...asked, ...(given.image ? { image: given.image } : {}) });
    const seenFrames = Math.min(size.numFrames, options.windowFrames ?? size.numFrames);
    const clip = pipeline.clip(seenFrames, size.height, size.width);
    if (options.riflex) {
      await applyRiflex(pipeline, options, async () =>
        (await familyAdapters().get(pipeline.family)).referenceLatentFrames(pipeline.geometry),
      );
    }
    // Rank 0 shows masks.
    const silent = { ...options, showMask: false, showMaskCompact: undefined };
    using _sparse = options.lvsa
      ? await installSparse(pipeline, silent, { ...clip, ...size, numFrames: seenFrames }, reporter)
      : undefined;
    const { initialLatents, ...images } = given;
    await engine.generate({
      ...asked,
      ...(prompts ? { prompts } : { prompt }),
      ...{ ...size, ...images, signal: group.lost },
      ...(state ? { resumeFrom: state.state } : task.seed === null ? {} : { seed: BigInt(task.seed) }),
      ...(initialLatents && !state ? { initialLatents } : {}),
    });
  } finally {
    device.dispose();
  }
}

type GivenFiles = Pick<GenerateOptions, "initialLatents" | "image" | "lastImage">;

async function givenFiles(options: GenerateCommandOptions): Promise<GivenFiles> {
  const { initialLatents, image, lastImage } = options;
  return {
    ...(initialLatents === undefined ? {} : { initialLatents: await readLatents(initialLatents) }),
    ...(image === undefined ? {} : { image: await readImage(image) }),
    ...(lastImage === undefined ? {} : { lastImage: await readImage(lastImage) }),
  };
}
