/** The checkpoint that runs without `--model`: the demo model, which comes as a package of its own. */
import { fileURLToPath } from "node:url";
import { DEMO_WAN } from "@lvsa/demo-wan";

export const BUNDLED_MODEL = fileURLToPath(DEMO_WAN).replace(/[\\/]$/, "");
