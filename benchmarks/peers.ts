/** Other engines doing the same work on the same adapter. Each is loaded only where `npm run peers` installed it. */
import type { Engine, Workload } from "./engine.ts";
import { createJaxEngines } from "./jax-engine.ts";
import { createOnnxRuntimeEngines } from "./onnxruntime-engine.ts";

export const PEERS = {
  "onnxruntime-node": createOnnxRuntimeEngines,
  "@jax-js/jax": createJaxEngines,
} as const satisfies Record<string, (work: Workload) => Promise<Engine[]>>;

/** The engines that are installed, ready to run; and why others are not there. */
export async function loadPeers(work: Workload): Promise<{ engines: Engine[]; missing: string[] }> {
  const engines: Engine[] = [];
  const missing: string[] = [];
  for (const [name, createEngines] of Object.entries(PEERS)) {
    try {
      engines.push(...(await createEngines(work)));
    } catch (error) {
      missing.push(`${name}: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`);
    }
  }
  return { engines, missing };
}
