/** An engine of which only the seams exist: layers to claim, a dispatcher, a log. */
import type { AttentionDispatcher, AttentionModule, AttentionTarget, PluginHost } from "@lvsa/core";

export interface FakeEngine {
  readonly engine: PluginHost;
  readonly lines: string[];
  /** Names of the layers that somebody owns. */
  claimed(): string[];
}

/** Two blocks with the layers of a family; `role`: that of both, instead of the family's. */
export function fakeEngine(
  family: string,
  attention: AttentionDispatcher,
  role: string = family === "wan" || family === "cosmos3" ? "self" : "joint",
): FakeEngine {
  const layers = [0, 1].map((index) => ({ name: `blocks.${index}`, index, role }) as AttentionModule);
  const model: AttentionTarget = { family, attention, attentionModules: () => layers };
  const lines: string[] = [];
  const engine = {
    device: {
      memory: () => ({
        liveBytes: 1.5e9,
        pooledBytes: 0.75e9,
        peakBytes: 3e9,
        pinnedBytes: 0,
        liveTensors: 0,
      }),
    },
    attention,
    log: (line: string) => lines.push(line),
    pipeline: {
      family,
      transformers: [model],
      geometry: { spatialFactor: 8, temporalFactor: 4, referenceLatentFrames: 21, transformerConfig: {} },
    },
  };
  return {
    engine: engine as unknown as PluginHost,
    lines,
    claimed: () => layers.filter((layer) => attention.owner(layer) !== undefined).map(({ name }) => name),
  };
}
