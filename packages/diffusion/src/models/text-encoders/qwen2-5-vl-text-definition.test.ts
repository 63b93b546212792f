import { expect, it } from "vitest";
import { qwen25VLText, ropeTheta } from "./qwen2-5-vl-text-definition.js";

const sizes = { hidden_size: 3584, num_hidden_layers: 28, num_attention_heads: 28, num_key_value_heads: 4 };
const parse = (config: unknown) => qwen25VLText.configToRun(config);

it("reads a flat config, and one nested in that of the whole model", () => {
  expect(parse({ ...sizes, rms_norm_eps: 1e-6 })).toMatchObject({ hidden_size: 3584, rms_norm_eps: 1e-6 });
  const nested = parse({ model_type: "qwen2_5_vl", text_config: sizes });
  expect(nested.num_key_value_heads).toBe(4);
});

it("finds rope_theta wherever the version of transformers put it", () => {
  expect(ropeTheta(parse({ ...sizes, rope_theta: 5 }))).toBe(5);
  expect(ropeTheta(parse({ ...sizes, rope_parameters: { rope_type: "default", rope_theta: 6 } }))).toBe(6);
  expect(ropeTheta(parse({ ...sizes, rope_scaling: { type: "default", rope_theta: 7 } }))).toBe(7);
  expect(ropeTheta(parse({ ...sizes, rope_scaling: null }))).toBe(1_000_000);
});

it("names what does not fit", () => {
  expect(() => parse({ ...sizes, hidden_act: "gelu" })).toThrow("hidden_act");
});
