/** Inspections as text and JSON. */
import { inspectCheckpoint } from "@lvsa/diffusion/catalog";
import { encodeSafetensors, memoryFolder } from "@lvsa/runtime";
import { expect, it } from "vitest";
import { inspectToJson, renderInspectText } from "./render-inspect.js";

const folder = memoryFolder(
  {
    "model_index.json": JSON.stringify({
      _class_name: "WanPipeline",
      text_encoder: ["transformers", "T5EncoderModel"],
      transformer: ["diffusers", "SomeTransformer"],
      scheduler: ["diffusers", "UniPCMultistepScheduler"],
    }),
    "text_encoder/config.json": JSON.stringify({
      d_model: 2,
      d_ff: 2,
      d_kv: 1,
      num_heads: 1,
      num_layers: 1,
      vocab_size: 3,
    }),
    "text_encoder/model.safetensors": encodeSafetensors({
      "shared.weight": { dtype: "F32", shape: [3, 2], data: new Float32Array(6) },
      extra: { dtype: "F16", shape: [1], data: new Float32Array(1) },
    }),
    "transformer/config.json": "{}",
    "scheduler/scheduler_config.json": "{}",
  },
  "models/tiny",
);

it("shows components, files and problems with their fixes", async () => {
  const text = renderInspectText(await inspectCheckpoint(folder), { files: true });
  await expect(text).toMatchFileSnapshot("__snapshots__/tiny.txt");
});

it("gives the same as JSON", async () => {
  const json = inspectToJson(await inspectCheckpoint(folder));
  expect(JSON.parse(JSON.stringify(json))).toEqual(json);
  expect(json).toMatchObject({
    pipeline_class: "WanPipeline",
    ok: false,
    components: {
      text_encoder: {
        parameters: 7,
        bytes: 26,
        dtypes: { F32: { tensors: 1, bytes: 24 } },
        unexpected: ["extra"],
      },
      scheduler: { role: "scheduler", problems: [] },
    },
  });
});
