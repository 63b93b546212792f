/** The checkpoint that runs without `--model`: the demo model, which comes as a package of its own. */
import { fileURLToPath } from "node:url";
import { DEMO_WAN, DEMO_WAN_FEW_STEPS } from "@lvsa/demo-wan";

export const BUNDLED_MODEL = fileURLToPath(DEMO_WAN).replace(/[\\/]$/, "");

/** Its few-step student: a LoRA, and the preset that it was distilled for. */
export const BUNDLED_STUDENT = {
  lora: fileURLToPath(DEMO_WAN_FEW_STEPS.lora),
  preset: DEMO_WAN_FEW_STEPS.preset,
} as const;
