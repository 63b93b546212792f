/** The catalog against the published configurations: parameters, bytes, geometry and FLOPs, all exactly equal. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readJson, referenceDirectory, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { frameStep, framesOfTokenFrames, sizeMultiple } from "../models/definition/video-grid.js";
import type { ModelFamily } from "../models/definition/video-model.js";
import { findVideoModel, getModelClass, modelClassNames } from "../models/model-classes.js";
import type { ForwardFlops } from "./flops.js";
import { findKnownModel } from "./known-models.js";
import type { GenerationDefaults, ModelDescription, ModelTask } from "./model-description.js";
import { modelShape } from "./model-shape.js";
import { componentPlans, planGeneration } from "./plan-generation.js";
import { type StoredDType, summarizeParameters } from "./weight-summary.js";

const models = referenceModels();

// Another folder may hold other models; the repository's own holds these.
if (process.env.LVSA_REFERENCE_DIR) {
  console.info(`${models.length} configurations in LVSA_REFERENCE_DIR; their number is not checked`);
} else {
  it("finds all configurations of the repository", () => {
    expect(models).toHaveLength(18);
    const used = new Set(models.flatMap((model) => Object.values(model.components).map((one) => one.class)));
    const unused = modelClassNames().filter((name) => !used.has(name));
    expect(unused).toEqual([
      ...["UMT5Model", "UMT5ForConditionalGeneration", "T5Model", "T5ForConditionalGeneration"],
      ...["Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLModel", "CLIPVisionModel"],
    ]);
  });
}

it("there are cases", () => requireCases(models));

describe.each(models)("$model", (reference) => {
  it.each(Object.entries(reference.components))("%s: parameters of its class", (_, component) => {
    const modelClass = getModelClass(component.class);
    expect(modelClass.parseConfig(component.config)).toMatchObject(component.config_resolved ?? {});
    const parameters = modelClass.parameters(component.config);
    const summary = summarizeParameters(parameters);
    expect(summary.parameters).toBe(component.parameters);
    expect(summary.tensors).toBe(component.tensors);
    const { stored, ...bytes } = component.bytes;
    expect(summary.bytes).toEqual(bytes);
    expect(summary.bytes[component.stored_dtype.value as "f32"]).toBe(stored);
    expect(summary.largestTensor.shape).toEqual(component.largest_tensor.shape);
    const named = parameters.find(({ name }) => name === component.largest_tensor.name);
    expect(named?.shape).toEqual(component.largest_tensor.shape);
    expect(new Set(parameters.map(({ name }) => name)).size).toBe(parameters.length);
  });

  it("is known by name and by repository", () => {
    const known = knownModel(reference);
    expect(findKnownModel(reference.repository)).toEqual(known);
    expect(findKnownModel(reference.repository.toUpperCase().split("/")[1]!)).toEqual(known);
    expect(known).toMatchObject({
      repository: reference.repository,
      family: reference.family,
      task: reference.task,
      pipelineClass: reference.model_index.value._class_name,
    });
    expect(known.boundaryRatio).toBe(reference.model_index.value.boundary_ratio);
    expect(Object.keys(known.components).sort()).toEqual(Object.keys(reference.components).sort());
    for (const [name, component] of Object.entries(known.components)) {
      const expected = reference.components[name]!;
      expect(component.className).toBe(expected.class);
      expect(component.storedDType).toBe(expected.stored_dtype.value);
      const modelClass = getModelClass(component.className);
      const published = modelClass.parseConfig(expected.config);
      // The keys of the class only: published files carry others too.
      for (const [key, value] of Object.entries(modelClass.parseConfig(component.config))) {
        expect([key, value]).toEqual([key, published[key]]);
      }
    }
    const plans = Object.values(componentPlans(known));
    const stored = plans.reduce((sum, plan) => sum + plan.storedBytes, 0);
    expect(stored).toBe(reference.bytes_total.stored);
  });

  it("has the defaults of the pipeline and the advice of its authors", () => {
    const known = knownModel(reference);
    for (const [settings, stated] of [
      [known.defaults, reference.pipeline_defaults],
      [known.recommended, reference.recommended],
    ] as const) {
      for (const [key, name] of Object.entries(SETTINGS)) {
        const value = stated[key]?.value;
        // Some advice is a list or depends on the size; the catalog keeps single numbers.
        if (typeof value === "number") expect([key, settings[name]]).toEqual([key, value]);
      }
    }
    const plan = planGeneration({ model: known });
    // diffusers runs CogVideoX's two predictions as one batch, this engine one after the other.
    const inBatch = reference.family === "cogvideox" ? 2 : 1;
    expect(plan.forwardsPerStep).toBe(Number(reference.pipeline_defaults.forwards_per_step?.value) * inBatch);
  });

  it("has the geometry and the attention of its family", () => {
    const model = describedModel(reference);
    const { geometry, attention, rows } = modelShape(model);
    expect(findVideoModel(model.components.transformer!.className)?.video.family).toBe(reference.family);
    const stated = reference.geometry;
    expect(geometry).toEqual({
      vaeSpatial: stated.vae_spatial,
      vaeTemporal: stated.vae_temporal,
      patch: stated.patch,
      patchT: stated.patch_t,
      latentChannels: stated.latent_channels,
      transformerInChannels: stated.transformer_in_channels,
      framesFirst: stated.frames_first ?? false,
      padsPatches: stated.pads_patches,
      referenceTokenFrames: stated.reference_token_frames,
    });
    expect(sizeMultiple(geometry)).toBe(stated.size_multiple);
    expect(String(stated.frame_grid)).toMatch(new RegExp(`^${frameStep(geometry)}k\\+1`));
    expect(rows).toEqual(reference.text.rows);
    expect(attention).toEqual({
      kind: reference.attention.kind,
      heads: reference.attention.heads,
      kvHeads: reference.attention.kv_heads,
      headDim: reference.attention.head_dim,
      layers: reference.attention.layers,
      jointTextTokens: reference.attention.joint_text_tokens,
      crossTokens: reference.attention.cross_tokens,
      refinerTokens: reference.attention.refiner_tokens ?? [],
    });
  });

  describe.each(reference.runs)("$label", (run) => {
    it("makes these latents and tokens", () => {
      const { height, width, num_frames: numFrames } = run;
      const { grid } = planGeneration({ model: describedModel(reference), height, width, numFrames });
      expect(grid).toEqual({
        numFrames,
        height,
        width,
        latentChannels: run.latent_channels,
        latentFrames: run.latent_frames,
        latentFramesPadded: run.latent_frames_padded,
        latentHeight: run.latent_height,
        latentWidth: run.latent_width,
        latentShape: run.latent_shape,
        patchRows: run.patch_rows,
        patchColumns: run.patch_columns,
        patchesPerFrame: run.patches_per_frame,
        tokenFrames: run.token_frames,
        videoTokens: run.video_tokens,
      });
    });

    it.each(run.horizons)("takes these FLOPs at $horizon", (horizon) => {
      const { height, width } = run;
      const attended = horizon.lvsa.attended_frames_per_query_frame;
      const plan = planGeneration({
        model: describedModel(reference),
        height,
        width,
        numFrames: horizon.num_frames,
        // Core's pattern is tested in the command line, which may import both.
        lvsa: () => ({ offsets: 1, attendedFrames: () => attended }),
      });
      expect(framesOfTokenFrames(horizon.token_frames, plan.geometry)).toBe(horizon.num_frames);
      expect(plan.grid.tokenFrames).toBe(horizon.token_frames);
      expect(plan.grid.latentFrames).toBe(horizon.latent_frames);
      expect(plan.grid.videoTokens).toBe(horizon.video_tokens);
      expect(plan.attended.sum).toBe(horizon.lvsa.attended_frames_sum);
      expect(plan.attended.mean).toBe(horizon.lvsa.attended_frames_mean);
      expect(plan.attended.density).toBe(horizon.lvsa.mean_density);
      expect(asReference(plan.flops)).toEqual(horizon.flops);
      expect(plan.lvsaOverDense).toEqual(horizon.lvsa_over_dense);
    });
  });
});

/** Settings by their names in the files. */
const SETTINGS = {
  height: "height",
  width: "width",
  num_frames: "numFrames",
  num_inference_steps: "numInferenceSteps",
  guidance_scale: "guidanceScale",
  guidance_scale_2: "guidanceScale2",
  flow_shift: "flowShift",
  fps: "fps",
} as const satisfies Record<string, keyof GenerationDefaults>;

function knownModel(reference: ReferenceModel): ModelDescription {
  const known = findKnownModel(reference.model);
  if (known === undefined) throw new Error(`${reference.model} is not known`);
  return known;
}

/** The model as the file describes it, not as the catalog knows it. */
function describedModel(reference: ReferenceModel): ModelDescription {
  const components = Object.entries(reference.components).map(([name, component]) => [
    name,
    {
      className: component.class,
      config: component.config,
      storedDType: component.stored_dtype.value as StoredDType,
    },
  ]);
  const defaults = {
    height: 480,
    width: 832,
    numFrames: 81,
    numInferenceSteps: 1,
    guidanceScale: 1,
    fps: 16,
    negativePrompt: "",
  };
  const { video } = findVideoModel(reference.components.transformer!.class)!;
  const configs = Object.fromEntries(
    Object.entries(reference.components).map(([name, one]) => [
      name,
      getModelClass(one.class).parseConfig(one.config),
    ]),
  );
  const { maxSequenceLength } = video.defaults(configs);
  return {
    name: reference.model,
    family: reference.family as ModelFamily,
    task: reference.task as ModelTask,
    pipelineClass: String(reference.model_index.value._class_name),
    components: Object.fromEntries(components),
    defaults: { ...defaults, maxSequenceLength },
    recommended: {},
  };
}

function asReference(flops: ForwardFlops): ReferenceFlops {
  const text = ({ dense, lvsa }: { dense: bigint; lvsa: bigint }) => ({ dense: `${dense}`, lvsa: `${lvsa}` });
  const rows = Object.entries(flops.linearByRows).map(([kind, { weights, rows: count, flops: n }]) => [
    kind,
    { weights, rows: count, flops: `${n}` },
  ]);
  return {
    attention_per_layer: text(flops.attentionPerLayer),
    attention_per_forward: text(flops.attentionPerForward),
    text_stream_attention_per_forward: `${flops.textStreamAttentionPerForward}`,
    cross_attention_per_forward: `${flops.crossAttentionPerForward}`,
    text_refiner_attention_per_forward: `${flops.textRefinerAttentionPerForward}`,
    linear_per_forward: `${flops.linearPerForward}`,
    linear_by_rows: Object.fromEntries(rows),
    total_per_forward: text(flops.totalPerForward),
  };
}

interface Stated {
  readonly value: unknown;
}

interface ReferenceComponent {
  readonly class: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Absent for transformers' classes. */
  readonly config_resolved?: Readonly<Record<string, unknown>>;
  readonly parameters: number;
  readonly tensors: number;
  readonly stored_dtype: Stated;
  readonly bytes: Readonly<Record<"bf16" | "f16" | "f32" | "stored", number>>;
  readonly largest_tensor: { readonly name: string; readonly shape: readonly number[] };
}

/** FLOPs are decimal strings. */
interface ReferenceFlops {
  readonly attention_per_layer: Readonly<Record<"dense" | "lvsa", string>>;
  readonly attention_per_forward: Readonly<Record<"dense" | "lvsa", string>>;
  readonly text_stream_attention_per_forward: string;
  readonly cross_attention_per_forward: string;
  readonly text_refiner_attention_per_forward: string;
  readonly linear_per_forward: string;
  readonly linear_by_rows: Readonly<Record<string, { weights: number; rows: number; flops: string }>>;
  readonly total_per_forward: Readonly<Record<"dense" | "lvsa", string>>;
}

interface ReferenceHorizon {
  readonly horizon: string;
  readonly token_frames: number;
  readonly latent_frames: number;
  readonly num_frames: number;
  readonly video_tokens: number;
  readonly lvsa: {
    readonly attended_frames_per_query_frame: readonly number[];
    readonly attended_frames_sum: number;
    readonly attended_frames_mean: number;
    readonly mean_density: number;
  };
  readonly flops: ReferenceFlops;
  readonly lvsa_over_dense: { readonly attention: number; readonly forward: number };
}

interface ReferenceRun {
  readonly label: string;
  readonly height: number;
  readonly width: number;
  readonly num_frames: number;
  readonly latent_channels: number;
  readonly latent_frames: number;
  readonly latent_frames_padded: number;
  readonly latent_height: number;
  readonly latent_width: number;
  readonly latent_shape: readonly number[];
  readonly patch_rows: number;
  readonly patch_columns: number;
  readonly patches_per_frame: number;
  readonly token_frames: number;
  readonly video_tokens: number;
  readonly horizons: readonly ReferenceHorizon[];
}

interface ReferenceModel {
  readonly model: string;
  readonly repository: string;
  readonly family: string;
  readonly task: string;
  readonly model_index: { readonly value: Readonly<Record<string, unknown>> };
  readonly components: Readonly<Record<string, ReferenceComponent>>;
  readonly bytes_total: Readonly<Record<"bf16" | "f16" | "f32" | "stored", number>>;
  readonly pipeline_defaults: Readonly<Record<string, Stated>>;
  readonly recommended: Readonly<Record<string, Stated>>;
  readonly text: { readonly rows: Readonly<Record<string, number>> };
  readonly attention: {
    readonly kind: string;
    readonly heads: number;
    readonly kv_heads: number;
    readonly head_dim: number;
    readonly layers: number;
    readonly joint_text_tokens: number;
    readonly cross_tokens: Readonly<Record<string, number>>;
    readonly refiner_tokens?: readonly number[];
  };
  readonly geometry: Readonly<Record<string, unknown>>;
  readonly runs: readonly ReferenceRun[];
}

/** All files; an empty list, said once, where the reference folder has none. */
function referenceModels(): ReferenceModel[] {
  const folder = join(referenceDirectory(), "configs");
  if (!existsSync(folder)) {
    console.warn(`no reference configurations: ${folder} does not exist`);
    return [];
  }
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return files.sort().map((file) => readJson<ReferenceModel>(join(folder, file)));
}
