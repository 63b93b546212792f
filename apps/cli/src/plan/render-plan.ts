/** A plan as text for the terminal and as JSON. */

import type { ClipPatterns } from "@lvsa/core";
import type { GenerationPlan } from "@lvsa/diffusion/catalog";
import { renderTable } from "../output/table.js";
import { formatBytes, formatCount, formatFlops, formatShare } from "../output/units.js";
import type { ModelPlan } from "./plan.js";
import { budgetJson, budgetLines, type PlannedMemory } from "./planned-memory.js";

/** What `lvsa generate` does with the same options. */
export interface PlannedRun {
  readonly attention: "dense" | "lvsa";
  readonly device: string;
  readonly precision: "f32" | "f16";
  /** Of the few-step student that runs instead of the model. */
  readonly preset?: string | undefined;
}

/** The whole plan; lines end with newlines. */
export function renderPlanText({ plan, lvsa }: ModelPlan, memory: PlannedMemory, run?: PlannedRun): string {
  const { model, grid } = plan;
  const title = [model.name, model.repository, `${model.family}, ${model.task}`].filter(Boolean).join("  ");
  const tokens = plan.geometry.patchT === 1 ? "latent frames" : `token frames (${grid.latentFrames} latent)`;
  const lines = [
    title,
    ...windowLine(plan),
    `${grid.width}x${grid.height}, ${grid.numFrames} frames: ${grid.tokenFrames} ${tokens} x ` +
      `${formatCount(grid.patchesPerFrame)} tokens = ${formatCount(grid.videoTokens)} tokens, ` +
      `${plan.horizon.toFixed(2)}x the training length`,
    "",
    ...weights(plan, memory),
    "",
    ...(run ? [`device     ${run.device}, activations in ${run.precision}`] : []),
    ...(run?.preset
      ? [`student    ${run.preset}: few steps, as lvsa generate does (--steps: the model itself)`]
      : []),
    ...pattern(plan, lvsa, run),
    "",
    ...operations(plan, lvsa !== undefined),
    "",
    ...tilesLine(memory),
    ...memoryTable(memory),
    ...budgetLines(memory),
  ];
  return `${lines.join("\n")}\n`;
}

/** The rest of the plan is of one window then. */
function windowLine({ windows, grid }: GenerationPlan): string[] {
  if (!windows) return [];
  const { count, numFrames, overlap } = windows;
  return [`${numFrames} frames in ${count} windows of ${grid.numFrames} that share ${overlap}; each:`];
}

function tilesLine({ vaeTiling }: PlannedMemory): string[] {
  if (vaeTiling === undefined) return [];
  return [`tiles      ${vaeTiling ?? "none: one has the whole picture"}`, ""];
}

/** Components that are streamed stay on the GPU layer by layer only. */
function onGpu(memory: PlannedMemory, name: string): string {
  const bytes = memory.weightBytes[name];
  return bytes === undefined ? "streamed" : formatBytes(bytes);
}

function weights(plan: GenerationPlan, memory: PlannedMemory): string[] {
  const rows = Object.entries(plan.components).map(([name, component]) => [
    name,
    component.className,
    formatCount(component.parameters),
    formatCount(component.tensors),
    plan.model.components[name]!.storedDType,
    formatBytes(component.storedBytes),
    onGpu(memory, name),
  ]);
  const all = Object.values(plan.components);
  const total = (pick: (component: (typeof all)[number]) => number) =>
    all.reduce((sum, component) => sum + pick(component), 0);
  const sums = [
    "all",
    "",
    formatCount(total((one) => one.parameters)),
    formatCount(total((one) => one.tensors)),
  ];
  const columns = [
    { title: "component" },
    { title: "class" },
    { title: "parameters", align: "right" },
    { title: "tensors", align: "right" },
    { title: "dtype" },
    { title: "stored", align: "right" },
    { title: "on the GPU", align: "right" },
  ] as const;
  return renderTable(columns, [...rows, [...sums, "", formatBytes(total((one) => one.storedBytes))]]);
}

function pattern(
  plan: GenerationPlan,
  lvsa: ClipPatterns | undefined,
  run: PlannedRun | undefined,
): string[] {
  const frames = plan.grid.tokenFrames;
  const dense = `attention  dense: every frame attends to all ${frames}`;
  if (lvsa === undefined) return [dense];
  const { config } = lvsa;
  const { mean, density, overOffsets } = plan.attended;
  const keyframes = config.keyframeInterval
    ? `key frames every ${config.keyframeInterval}${config.rotateKeyframes ? ", rotating" : ""}`
    : "no key frames";
  const spread =
    overOffsets.offsets > 1
      ? `; ${formatShare(overOffsets.min)} to ${formatShare(overOffsets.max)} over ${overOffsets.offsets} offsets`
      : "";
  const isDense = run?.attention === "dense";
  return [
    ...(isDense ? [dense] : []),
    `${isDense ? "with --lvsa" : "attention "} LVSA: window ${config.window}, first ${config.nFirstFrames}, ${keyframes} (latent frames)`,
    `           ${mean.toFixed(1)} of ${frames} frames attended, ${formatShare(density)}${spread}`,
  ];
}

function operations(plan: GenerationPlan, sparse: boolean): string[] {
  const { flops } = plan;
  const row = (name: string, dense: bigint, lvsa: bigint) => [
    name,
    formatFlops(dense),
    ...(sparse ? [formatFlops(lvsa), (Number(lvsa) / Number(dense)).toFixed(3)] : []),
  ];
  const same = (name: string, count: bigint) => (count > 0n ? [row(name, count, count)] : []);
  const passes = plan.forwardsPerStep;
  const columns = [
    { title: "operations" },
    { title: "dense", align: "right" },
    ...(sparse
      ? ([
          { title: "LVSA", align: "right" },
          { title: "LVSA / dense", align: "right" },
        ] as const)
      : []),
  ] as const;
  return renderTable(columns, [
    row("attention", flops.attentionPerForward.dense, flops.attentionPerForward.lvsa),
    ...same("attention of the text stream", flops.textStreamAttentionPerForward),
    ...same("cross attention", flops.crossAttentionPerForward),
    ...same("text refiner", flops.textRefinerAttentionPerForward),
    ...same("linear layers", flops.linearPerForward),
    row("one forward pass", flops.totalPerForward.dense, flops.totalPerForward.lvsa),
    row(`all ${plan.steps} steps, ${passes} each`, plan.totalFlops.dense, plan.totalFlops.lvsa),
  ]);
}

function memoryTable(memory: PlannedMemory): string[] {
  const rows = memory.phases
    .filter(({ items }) => items.length > 0)
    .flatMap(({ name, bytes, items }) => [
      [`${name}${name === memory.peakPhase ? " (peak)" : ""}`, formatBytes(bytes)],
      ...items.map((item) => [`  ${item.name}`, formatBytes(item.bytes)]),
    ]);
  return renderTable([{ title: "GPU memory" }, { title: "", align: "right" }], rows);
}

/**
 * The plan as plain JSON. Names and units are those of the published reference configurations; FLOPs are decimal strings,
 * because they exceed what a JSON number holds exactly. `lvsa` is what `--lvsa` makes of the clip, also where `attention` is dense. `memory` is null where it was not rehearsed.
 */
export function planToJson(
  { plan, lvsa }: ModelPlan,
  memory?: PlannedMemory,
  run?: PlannedRun,
): Record<string, unknown> {
  const { model, grid, geometry, attended, flops } = plan;
  const text = ({ dense, lvsa: sparse }: { dense: bigint; lvsa: bigint }) => ({
    dense: `${dense}`,
    lvsa: `${sparse}`,
  });
  const components = Object.entries(plan.components);
  const stored = components.map(([, component]) => component.storedBytes);
  return {
    model: model.name,
    repository: model.repository ?? null,
    family: model.family,
    task: model.task,
    ...(run ? { attention: run.attention, device: run.device, precision: run.precision } : {}),
    ...(run?.preset ? { preset: run.preset } : {}),
    components: Object.fromEntries(
      components.map(([name, component]) => [
        name,
        {
          class: component.className,
          parameters: component.parameters,
          tensors: component.tensors,
          stored_dtype: model.components[name]!.storedDType,
          bytes: { ...component.bytes, stored: component.storedBytes },
          bytes_on_gpu: memory?.weightBytes[name] ?? null,
          largest_tensor: { name: component.largestTensor.name, shape: component.largestTensor.shape },
        },
      ]),
    ),
    bytes_total: { stored: stored.reduce((sum, bytes) => sum + bytes, 0) },
    text_rows: plan.tokens,
    height: grid.height,
    width: grid.width,
    num_frames: grid.numFrames,
    latent_channels: grid.latentChannels,
    latent_frames: grid.latentFrames,
    latent_frames_padded: grid.latentFramesPadded,
    latent_height: grid.latentHeight,
    latent_width: grid.latentWidth,
    latent_shape: grid.latentShape,
    patch_rows: grid.patchRows,
    patch_columns: grid.patchColumns,
    patches_per_frame: grid.patchesPerFrame,
    token_frames: grid.tokenFrames,
    video_tokens: grid.videoTokens,
    reference_token_frames: geometry.referenceTokenFrames,
    horizon: plan.horizon,
    windows: plan.windows
      ? { count: plan.windows.count, num_frames: plan.windows.numFrames, overlap: plan.windows.overlap }
      : null,
    lvsa:
      lvsa === undefined
        ? null
        : {
            window_latent_frames: lvsa.config.window,
            n_first_latent_frames: lvsa.config.nFirstFrames,
            reference_frames: lvsa.config.referenceLatentFrames,
            key_frame_interval: lvsa.config.keyframeInterval,
            rotate_keyframes: lvsa.config.rotateKeyframes,
            global_frames: lvsa.patternOfStep(0).globalFrames,
            attended_frames_per_query_frame: attended.perQueryFrame,
            attended_frames_sum: attended.sum,
            attended_frames_mean: attended.mean,
            mean_density: attended.density,
            mean_density_over_key_frame_offsets: attended.overOffsets,
          },
    flops: {
      attention_per_layer: text(flops.attentionPerLayer),
      attention_per_forward: text(flops.attentionPerForward),
      text_stream_attention_per_forward: `${flops.textStreamAttentionPerForward}`,
      cross_attention_per_forward: `${flops.crossAttentionPerForward}`,
      text_refiner_attention_per_forward: `${flops.textRefinerAttentionPerForward}`,
      linear_per_forward: `${flops.linearPerForward}`,
      linear_by_rows: Object.fromEntries(
        Object.entries(flops.linearByRows).map(([kind, one]) => [kind, { ...one, flops: `${one.flops}` }]),
      ),
      total_per_forward: text(flops.totalPerForward),
      total: text(plan.totalFlops),
    },
    lvsa_over_dense: plan.lvsaOverDense,
    steps: plan.steps,
    forwards_per_step: plan.forwardsPerStep,
    memory: memory
      ? {
          ...{ peak_bytes: memory.peakBytes, peak_phase: memory.peakPhase, phases: memory.phases },
          ...budgetJson(memory),
        }
      : null,
  };
}
