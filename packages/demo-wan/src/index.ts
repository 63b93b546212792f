/**
 * A tiny text-to-video checkpoint of Wan's classes, for first steps, examples and tests. README.md is its model card.
 */

/**
 * The checkpoint's folder, in the diffusers format: a `file:` URL in Node (`fileURLToPath` makes a path of it), an address
 * in a browser that serves this package as it is.
 */
export const DEMO_WAN: URL = new URL("../model/", import.meta.url);

/**
 * Its few-step student: a LoRA for the transformer (`loras` of `Engine.open`, `--lora`), and the preset of `generate` that belongs to
 * it. Four steps without guidance in place of twenty with it. The file's address is as that of the folder.
 */
export const DEMO_WAN_FEW_STEPS: { readonly lora: URL; readonly preset: "demo-wan-4step" } = {
  lora: new URL("../model/few-steps.safetensors", import.meta.url),
  preset: "demo-wan-4step",
};

/** The clip that is made of it where nothing else is said: more than twice as long as those that it was trained on. */
export const DEMO_CLIP: { readonly prompt: string; readonly numFrames: number } = {
  prompt: "a large red star circles clockwise on a navy background",
  numFrames: 37,
};

/** What it understands well. More in the model card. */
export const DEMO_PROMPTS: readonly string[] = [
  DEMO_CLIP.prompt,
  "a yellow ball bounces off the walls on a black background",
  "a big blue square moves to the right on a pink background",
  "a small green triangle moves up slowly on a gray background",
];
