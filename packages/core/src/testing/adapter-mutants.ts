/** Adapters that are wrong in one line, each with the check that has to notice. Tests of the conformance run only. */
import { claimLayers, type LayerProcessor } from "../adapter/integration.js";
import type { ModelAdapter } from "../adapter/model-adapter.js";
import { AttentionDispatcher } from "../contract/attention-dispatcher.js";
import type { AttentionCall } from "../contract/attention-processor.js";
import type { AttentionTarget } from "../contract/host.js";
import type { HostGeometry } from "../pattern/geometry.js";
import { adapterConformance } from "./adapter-conformance.js";
import type { ConformanceFixture } from "./conformance-fixture.js";

export interface AdapterMutant {
  readonly name: string;
  readonly adapter: ModelAdapter;
  /** Name of the first check that has to fail. */
  readonly caughtBy: string;
}

/**
 * Runs the conformance checks of every mutant of the fixture's adapter.
 *
 * @returns the names of the mutants, and a line for each that passed, or failed in another check than it should
 */
export async function runMutants(
  fixture: ConformanceFixture,
): Promise<{ readonly names: string[]; readonly unnoticed: string[] }> {
  const unnoticed: string[] = [];
  const mutants = adapterMutants(fixture.adapter, fixture.model);
  for (const { name, adapter, caughtBy } of mutants) {
    // A dispatcher of its own: what a mutant does not let go of would spoil the next run.
    const model = withOwnDispatcher(fixture.model);
    const failure = await firstFailure({ ...fixture, adapter, model });
    if (failure !== caughtBy) unnoticed.push(`${name}: ${failure ?? "passed"}, expected ${caughtBy}`);
  }
  return { names: mutants.map(({ name }) => name), unnoticed };
}

async function firstFailure(fixture: ConformanceFixture): Promise<string | undefined> {
  for (const { name, run } of adapterConformance(fixture)) {
    try {
      await run();
    } catch {
      return name;
    }
  }
  return undefined;
}

function withOwnDispatcher(model: AttentionTarget): AttentionTarget {
  const { family } = model;
  return { family, attention: new AttentionDispatcher(), attentionModules: () => model.attentionModules() };
}

type Wrong = { readonly [K in keyof ModelAdapter]?: ModelAdapter[K] };

const INSTALLS = "installs on every sparse layer once and on no other, and lets go of all";
const KNOWN = "counts frames, tokens and the training length as they are known";
const EQUALS = "equals dense attention where the pattern attends to everything";
const HOOKED = "adds the call's residuals, and takes what a hook has projected";
const RANKS = "rotates a rank's share as the whole clip is rotated";
const SHARES = "shares a clip equally between ranks, or says which lengths can be";

/** Those that make sense for `model`: not all have text in the call, or layers that LVSA must leave alone. */
function adapterMutants(adapter: ModelAdapter, model: AttentionTarget): AdapterMutant[] {
  const sparse = model.attentionModules().filter(({ role }) => role === adapter.role);
  const others = model.attentionModules().length > sparse.length;
  const isJoint = sparse.some((layer) => layer.projectEncoder);
  const mutant = (name: string, caughtBy: string, wrong: Wrong): AdapterMutant => ({
    name,
    caughtBy,
    adapter: Object.assign(Object.create(adapter) as ModelAdapter, wrong),
  });
  const withoutProjected = ({ projected: _, ...call }: AttentionCall): AttentionCall => call;
  const withoutEpilogue = ({ epilogue: _, ...call }: AttentionCall): AttentionCall => call;
  return [
    mutant("takes the first layer only", INSTALLS, {
      installProcessor: (target: AttentionTarget, processor: LayerProcessor) =>
        claimLayers(target, sparse.slice(0, 1), processor),
    }),
    ...(others
      ? [
          mutant("takes layers of other roles too", INSTALLS, {
            installProcessor: (target: AttentionTarget, processor: LayerProcessor) =>
              claimLayers(target, target.attentionModules(), processor),
          }),
        ]
      : []),
    mutant("counts a layer too many", INSTALLS, {
      installProcessor: (target: AttentionTarget, processor: LayerProcessor) => {
        const installed = adapter.installProcessor(target, processor);
        return { blocks: installed.blocks + 1, [Symbol.dispose]: () => installed[Symbol.dispose]() };
      },
    }),
    mutant("does not let go of its layers", INSTALLS, {
      installProcessor: (target: AttentionTarget, processor: LayerProcessor) => {
        const { blocks } = adapter.installProcessor(target, processor);
        return { blocks, [Symbol.dispose]() {} };
      },
    }),
    mutant("gives every rank the whole rotary tables", RANKS, {
      patchRotaryForCp: (call: AttentionCall) => call,
    }),
    mutant("gives every rank the first one's rotary tables", RANKS, {
      patchRotaryForCp: (call: AttentionCall, shard) => adapter.patchRotaryForCp(call, { ...shard, rank: 0 }),
    }),
    mutant("does not rotate", EQUALS, { applyRotary: () => {} }),
    mutant("states the training length in video frames", KNOWN, { referenceLatentFrames: () => 161 }),
    mutant("counts video frames as latent frames", KNOWN, { latentFrames: (numFrames: number) => numFrames }),
    mutant("takes every frame for a square", KNOWN, {
      patchesPerFrame: (height: number, _width: number, host: HostGeometry) =>
        adapter.patchesPerFrame(height, height, host),
    }),
    mutant("has another softmax scale", EQUALS, { softmaxScale: () => ({ scale: 1 }) }),
    mutant("has defaults that are no latent frame", "has defaults of at least one latent frame", {
      defaults: { windowSize: 3, nFirstFrames: 3 },
    }),
    mutant("names another family than its model", "is of the model's family", { family: "another" }),
    mutant("projects although a hook has done it", HOOKED, {
      extractQkv: (call: AttentionCall) => adapter.extractQkv(withoutProjected(call)),
      extractEncoderQkv: (call: AttentionCall) => adapter.extractEncoderQkv(withoutProjected(call)),
    }),
    mutant("leaves the residual out", HOOKED, {
      formatOutput: (call, hidden, encoder) => adapter.formatOutput(withoutEpilogue(call), hidden, encoder),
    }),
    mutant("rounds the shares of ranks", SHARES, {
      setupContextParallel: ({ latentFrames, patchesPerFrame }, ranks: number) =>
        Math.floor((latentFrames * patchesPerFrame) / ranks),
    }),
    ...(isJoint
      ? [
          mutant("leaves the text out", EQUALS, { extractEncoderQkv: () => undefined }),
          mutant("drops the text's output", EQUALS, {
            formatOutput: (call, hidden) => adapter.outputProjection(call, hidden),
          }),
        ]
      : []),
  ];
}
