/** `lvsa plan`: what a generation takes, before it runs. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { maskPicture, maskText } from "@lvsa/core";
import { encodePng } from "@lvsa/video";
import type { Command } from "commander";
import { UsageError } from "../exit-codes.js";
import type { CommandIo } from "../io.js";
import { lvsaConfigOf } from "../options/lvsa-options.js";
import { addPlanOptions, type PlanCommandOptions, parsePlanOptions } from "../options/plan-options.js";
import { type ModelPlan, planModel } from "../plan/plan.js";
import { planDevice } from "../plan/planned-device.js";
import { type PlannedMemory, planMemory } from "../plan/planned-memory.js";
import { renderPlanHtml } from "../plan/render-html.js";
import { type PlannedRun, planToJson, renderPlanText } from "../plan/render-plan.js";
import { resolveModel } from "../plan/resolve-model.js";

export function planCommand(program: Command, io: CommandIo): void {
  const command = program
    .command("plan")
    .description("Tokens, attended frames, operations and memory of a generation");
  addPlanOptions(command).action(async (model: string | undefined, raw: Record<string, unknown>) => {
    await runPlan(parsePlanOptions({ ...raw, model: model ?? raw.model }), io);
  });
}

async function runPlan(options: PlanCommandOptions, io: CommandIo): Promise<void> {
  const model = await resolveModel(options);
  const counts = options.numFrames.length > 0 ? options.numFrames : [undefined];
  const {
    windowFrames,
    windowOverlap,
    height,
    width,
    guidance: guidanceScale,
    offload,
    memoryBudget,
    contextParallelSize,
  } = options;
  using planned = await planDevice(options, (line) => io.err(`${line}\n`));
  const { device, precision, label, memoryBytes } = planned;
  const run: PlannedRun = { attention: options.lvsa ? "lvsa" : "dense", device: label, precision };
  const plans: { plan: ModelPlan; memory: PlannedMemory }[] = [];
  for (const numFrames of counts) {
    const clip = { model, numFrames, windowFrames, height, width, guidanceScale };
    const plan = planModel({
      ...clip,
      windowOverlap,
      numInferenceSteps: options.steps,
      guidanceScale2: options.guidance2,
      lvsa: options.dense ? false : lvsaConfigOf(options),
    });
    const rehearsed = { ...clip, precision, offload, device, contextParallelSize };
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
