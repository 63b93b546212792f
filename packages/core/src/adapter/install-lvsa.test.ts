import { describe, expect, it } from "vitest";
import { AttentionDispatcher } from "../contract/attention-dispatcher.js";
import type { AttentionModule } from "../contract/attention-processor.js";
import type { AttentionTarget } from "../contract/host.js";
import { installLvsa } from "./install-lvsa.js";
import type { Installation } from "./integration.js";
import { type AdapterOptions, ModelAdapter } from "./model-adapter.js";

class TestAdapter extends ModelAdapter {
  readonly family = "test";
  readonly rules = { patchSize: 2, referenceLatentFrames: 5 };
}

const geometry = { spatialFactor: 8, temporalFactor: 4, transformerConfig: {} };

/** A model of which only the seam exists. */
function fakeModel(roles: readonly string[], family = "test"): AttentionTarget {
  const modules = roles.map((role, index) => ({ name: `layers.${index}`, index, role }) as AttentionModule);
  return { family, attention: new AttentionDispatcher(), attentionModules: () => modules };
}

const owners = (model: AttentionTarget) =>
  model.attentionModules().map((layer) => model.attention.owner(layer));

describe("installLvsa", () => {
  it("claims every layer of the adapter's role, and lets go of it", () => {
    const models = [fakeModel(["self", "cross", "self"]), fakeModel(["self"])];
    const installed = installLvsa({ transformers: models, geometry }, new TestAdapter(), { owner: "me" });
    expect(installed.blocks).toBe(3);
    expect(models.map(owners)).toEqual([["me", undefined, "me"], ["me"]]);
    installed[Symbol.dispose]();
    expect(models.map(owners)).toEqual([[undefined, undefined, undefined], [undefined]]);
  });

  it("refuses an adapter of another family before it touches a layer", () => {
    const models = [fakeModel(["self"]), fakeModel(["self"], "other")];
    expect(() => installLvsa({ transformers: models, geometry }, new TestAdapter())).toThrow(
      expect.objectContaining({
        code: "ADAPTER_FAMILY",
        message: "LVSA for test models does not fit a other model",
      }),
    );
    expect(models.map(owners)).toEqual([[undefined], [undefined]]);
  });

  it.each([
    ["layers of other roles", [fakeModel(["cross", "und", "cross"])], "its layers have the roles cross, und"],
    ["no layers at all", [fakeModel([])], "it lists no attention layers"],
    ["no transformer", [], "the host shows no transformer for LVSA on test"],
    ["a second transformer without", [fakeModel(["self"]), fakeModel(["joint"])], "the roles joint"],
  ])("refuses a host with %s, and claims nothing", (_, transformers, message) => {
    const install = () => installLvsa({ transformers, geometry }, new TestAdapter());
    expect(install).toThrow(expect.objectContaining({ code: "NO_LAYERS" }));
    expect(install).toThrow(message);
    expect(transformers.flatMap(owners).filter(Boolean)).toEqual([]);
  });

  it("does not believe an adapter of one's own that installs on nothing", () => {
    class Idle extends TestAdapter {
      override installProcessor(): Installation {
        return { blocks: 0, [Symbol.dispose]() {} };
      }
    }
    expect(() => installLvsa({ transformers: [fakeModel(["self"])], geometry }, new Idle())).toThrow(
      expect.objectContaining({ code: "NO_LAYERS" }),
    );
  });
});

describe("an adapter", () => {
  it("has the options as defaults, and names bad ones", () => {
    expect(new TestAdapter().defaults).toEqual({ windowSize: 12, nFirstFrames: 4 });
    expect(new TestAdapter({ nFirstFrames: 8 }).defaults).toEqual({ windowSize: 12, nFirstFrames: 8 });
    expect(new TestAdapter({ referenceLatentFrames: 9 }).referenceLatentFrames(geometry)).toBe(9);
    for (const [options, name] of [
      [{ windowSize: -1 }, "windowSize"],
      [{ referenceLatentFrames: 0 }, "referenceLatentFrames"],
      // Not an option of adapters: it would have no effect.
      [{ sparsityScale: 2 }, "sparsityScale"],
    ] as const) {
      expect(() => new TestAdapter(options as AdapterOptions)).toThrow(name);
    }
  });

  it.each([0, -2, 2.5, Number.NaN])("refuses %d ranks", (ranks) => {
    const share = () =>
      new TestAdapter().setupContextParallel({ latentFrames: 9, patchesPerFrame: 6 }, ranks);
    expect(share).toThrow(expect.objectContaining({ code: "INVALID_WORLD_SIZE" }));
  });
});
