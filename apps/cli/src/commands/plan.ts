/** `lvsa plan`: what a generation takes, before it runs. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { maskPicture, maskText } from "@lvsa/core";
import { type PromptTokens, promptTokens } from "@lvsa/diffusion/rehearsal";
import { encodePng } from "@lvsa/video";
import type { Command } from "commander";
import { UsageError } from "../exit-codes.js";
import { stepCacheName, withTextLength } from "../generate/memory-check.js";
import type { CommandIo } from "../io.js";
import { lvsaConfigOf } from "../options/lvsa-options.js";
import { addPlanOptions, type PlanCommandOptions, parsePlanOptions } from "../options/plan-options.js";
import { tilingOf } from "../options/tiling-options.js";
import { type ModelPlan, planModel } from "../plan/plan.js";
import { planDevice } from "../plan/planned-device.js";
import { type PlannedMemory, planMemory } from "../plan/planned-memory.js";
import { plannedSampling } from "../plan/planned-sampling.js";
import { renderPlanHtml } from "../plan/render-html.js";
import { type PlannedRun, planToJson, renderPlanText } from "../plan/render-plan.js";
import { type ResolvedModel, resolveModel } from "../plan/resolve-model.js";

export function planCommand(program: Command, io: CommandIo): void {
  const command = program
    .command("plan")
    .description("Tokens, attended frames, operations and memory of a generation");
  addPlanOptions(command).action(async (model: string | undefined, raw: Record<string, unknown>) => {
    await runPlan(parsePlanOptions({ ...raw, model: model ?? raw.model }), io);
  });
}

async function runPlan(options: PlanCommandOptions, io: CommandIo): Promise<void> {
  const resolved = await resolveModel(options);
  const model = withTextLength(resolved.model, options.maxSequenceLength);
  const counts = options.numFrames.length > 0 ? options.numFrames : [undefined];
  const {
    windowFrames,
    windowOverlap,
    height,
    width,
    guidanceBatch,
    offload,
    memoryBudget,
    contextParallelSize,
  } = options;
  const vaeTiling = tilingOf(options);
  using planned = await planDevice(options, io);
  const { device, precision, label, memoryBytes } = planned;
  const { numInferenceSteps, guidanceScale, merged, preset } = await plannedSampling(resolved, options);
  const attention = options.lvsa ? "lvsa" : "dense";
  const run: PlannedRun = { attention, device: label, precision, preset };
  const plans: { plan: ModelPlan; memory: PlannedMemory }[] = [];
  for (const numFrames of counts) {
    const clip = { model, numFrames, windowFrames, height, width, guidanceScale };
    const plan = planModel({
      ...clip,
      windowOverlap,
      numInferenceSteps,
      guidanceScale2: options.guidance2,
      lvsa: options.dense ? false : lvsaConfigOf(options),
    });
    const tokens = await tokensOf({ ...resolved, model }, options, numFrames);
    const stepCache = stepCacheName(options);
    const rehearsed = {
      ...{ ...clip, guidanceBatch, precision, offload, device, stepCache, tokens, contextParallelSize },
      ...{ vaeTiling, merged },
    };
    plans.push({ plan, memory: await planMemory(rehearsed, memoryBudget, memoryBytes) });
  }
  const objects = plans.map(({ plan, memory }) => planToJson(plan, memory, run));
  if (options.json) io.out(`${JSON.stringify(objects.length > 1 ? objects : objects[0], undefined, 2)}\n`);
  else io.out(plans.map(({ plan, memory }) => renderPlanText(plan, memory, run)).join("\n"));

  // Pictures show the longest clip.
  const { plan: last, memory } = plans.at(-1)!;
  if (options.showMask && !options.json) {
    io.out(`\n${maskText(patternOf(last, "--show-mask"), { style: "compact" })}`);
  }
  if (options.png !== undefined) {
    const { rgb, width, height } = maskPicture(patternOf(last, "--png"));
    await writePicture(options.png, await encodePng(rgb, width, height));
  }
  if (options.html !== undefined) await writePicture(options.html, renderPlanHtml(last, memory, run));
}

/** Of a prompt that was given; undefined: as many as there may be. */
async function tokensOf(
  { model, folder }: ResolvedModel,
  { prompt, negativePrompt, height, width }: PlanCommandOptions,
  numFrames: number | undefined,
): Promise<PromptTokens[] | undefined> {
  if (prompt === undefined) {
    if (negativePrompt === undefined) return undefined;
    throw new UsageError("--negative-prompt is given without a prompt", "Give --prompt too.");
  }
  if (!folder) {
    throw new UsageError(
      `--prompt needs the tokenizer of a checkpoint, and ${model.name} is known by name only`,
      "Leave out --prompt: the plan takes the longest there may be.",
    );
  }
  return promptTokens(folder, model, { prompt, negativePrompt, numFrames, height, width });
}

function patternOf({ lvsa }: ModelPlan, option: string) {
  if (lvsa) return lvsa.patternOfStep(0);
  throw new UsageError(
    `${option} shows the sparse pattern, and --dense has none`,
    "Leave out one of the two.",
  );
}

async function writePicture(path: string, contents: Uint8Array | string): Promise<void> {
  await mkdir(dirname(resolve(path)), { recursive: true });
  await writeFile(path, contents);
}
