import { type Device, Tensor } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { AttentionDispatcher } from "./attention-dispatcher.js";
import type {
  AttentionBackend,
  AttentionCall,
  AttentionModule,
  AttentionResult,
  BackendCall,
  ProjectedStreams,
  RotaryTables,
} from "./attention-processor.js";

/** A tensor of which only the shape matters: no work reaches a GPU here. */
const tensor = (...shape: number[]) => new Tensor({} as GPUBuffer, 0, shape, "f32");
const device = { scope: (run: () => AttentionResult) => run() } as unknown as Device;

/** A layer that notes in which order its parts are used, and with what. */
class FakeLayer implements AttentionModule {
  readonly index = 0;
  readonly heads = 2;
  readonly keyValueHeads = 2;
  readonly headDim = 8;
  readonly scale = 0.25;
  causal = false;
  category?: string;
  readonly seen: string[] = [];
  rotatedWith: RotaryTables | undefined;
  attended: ProjectedStreams | undefined;
  readonly own: ProjectedStreams = {
    query: tensor(1, 6, 2, 8),
    key: tensor(1, 6, 2, 8),
    value: tensor(1, 6, 2, 8),
  };

  constructor(
    readonly name = "blocks.0.attn1",
    readonly role = "self",
  ) {}

  project(): ProjectedStreams {
    this.seen.push("project");
    return this.own;
  }
  rotate(_streams: ProjectedStreams, rotary: RotaryTables | undefined): void {
    this.rotatedWith = rotary;
  }
  attend(call: AttentionCall, streams: ProjectedStreams, run: (call: BackendCall) => Tensor) {
    this.attended = streams;
    const { device, geometry, step } = call;
    return {
      hidden: run({
        ...{ device, module: this, role: this.role, scale: this.scale, causal: this.causal },
        ...{ query: streams.query, key: streams.key, value: streams.value },
        ...(geometry ? { geometry } : {}),
        ...(step ? { step } : {}),
      }),
    };
  }
  output(_call: AttentionCall, { hidden }: { hidden: Tensor }): AttentionResult {
    return { hiddenStates: hidden };
  }
}

const callOf = (module: AttentionModule, more: Partial<AttentionCall> = {}): AttentionCall => ({
  device,
  family: "test",
  module,
  hiddenStates: tensor(1, 6, 16),
  ...more,
});

/** A backend that answers with a tensor of its own and keeps the call. */
function recording(more: Partial<AttentionBackend> = {}) {
  const calls: BackendCall[] = [];
  const answer = tensor(1, 6, 2, 8);
  const backend: AttentionBackend = {
    run: (call) => {
      calls.push(call);
      return answer;
    },
    ...more,
  };
  return { backend, calls, answer };
}

function dispatcherWith(name: string, backend: AttentionBackend): AttentionDispatcher {
  const dispatcher = new AttentionDispatcher();
  dispatcher.registerBackend(name, backend);
  return dispatcher;
}

describe("claims", () => {
  it("name both owners when two plugins want one layer", () => {
    const dispatcher = new AttentionDispatcher();
    const layer = new FakeLayer();
    dispatcher.claim(layer, "first-plugin", (call, next) => next(call));
    expect(() => dispatcher.claim(layer, "second-plugin", (call, next) => next(call))).toThrow(
      expect.objectContaining({
        code: "LAYER_CLAIMED",
        message: "both first-plugin and second-plugin want the attention layer blocks.0.attn1",
      }),
    );
  });

  it("replace the attention, and give the dense path back when disposed", () => {
    const { backend, calls, answer } = recording();
    const dispatcher = dispatcherWith("X", backend);
    dispatcher.configure({ default: "X" });
    const layer = new FakeLayer();
    const replaced: AttentionResult = { hiddenStates: tensor(1, 6, 16) };
    const claim = dispatcher.claim(layer, "plugin", () => replaced);
    expect(dispatcher.run(callOf(layer)).hiddenStates).toBe(replaced.hiddenStates);
    expect(layer.seen).toEqual([]);
    claim[Symbol.dispose]();
    expect(dispatcher.run(callOf(layer)).hiddenStates).toBe(answer);
    expect(calls).toHaveLength(1);
    // Disposing twice does not throw a later owner out.
    dispatcher.claim(layer, "later", () => replaced);
    claim[Symbol.dispose]();
    expect(dispatcher.run(callOf(layer)).hiddenStates).toBe(replaced.hiddenStates);
  });
});

describe("hooks", () => {
  it("run by order, then as added, in front of the processor that claimed the layer", () => {
    const dispatcher = new AttentionDispatcher();
    const layer = new FakeLayer();
    const order: string[] = [];
    const note = (name: string) => (call: AttentionCall, next: (call: AttentionCall) => AttentionResult) => {
      order.push(name);
      return next(call);
    };
    dispatcher.claim(layer, "plugin", () => {
      order.push("claimed");
      return { hiddenStates: tensor(1, 6, 16) };
    });
    dispatcher.addHook("a", note("late"), 5);
    dispatcher.addHook("b", note("first of the middle"));
    const middle = dispatcher.addHook("c", note("second of the middle"));
    dispatcher.addHook("d", note("early"), -1);
    dispatcher.run(callOf(layer));
    expect(order).toEqual(["early", "first of the middle", "second of the middle", "late", "claimed"]);
    middle[Symbol.dispose]();
    order.length = 0;
    dispatcher.run(callOf(layer));
    expect(order).toEqual(["early", "first of the middle", "late", "claimed"]);
  });

  it("see the whole call and may give other Q, K, V and rotary tables", () => {
    const { backend } = recording();
    const dispatcher = dispatcherWith("X", backend);
    dispatcher.configure({ default: "X" });
    const layer = new FakeLayer();
    const projected = { query: tensor(1, 3, 2, 8), key: tensor(1, 6, 2, 8), value: tensor(1, 6, 2, 8) };
    const rotary = { cos: tensor(6, 4), sin: tensor(6, 4) };
    const geometry = { latentFrames: 3, patchesPerFrame: 2, height: 1, width: 2 };
    const step = { index: 4, count: 50, generation: 2 };
    dispatcher.addHook("shard", (call, next) => {
      expect(call).toMatchObject({ family: "test", module: { role: "self" }, geometry, step });
      return next({ ...call, projected, rotary });
    });
    dispatcher.run(callOf(layer, { geometry, step }));
    expect(layer.seen).not.toContain("project");
    expect(layer.attended).toBe(projected);
    expect(layer.rotatedWith).toBe(rotary);
  });

  it("may leave everything as it is: next is the layer's own path", () => {
    const { backend, calls, answer } = recording();
    const dispatcher = dispatcherWith("X", backend);
    dispatcher.configure({ default: "X" });
    const layer = new FakeLayer();
    dispatcher.addHook("idle", (call, next) => next(call));
    expect(dispatcher.run(callOf(layer)).hiddenStates).toBe(answer);
    expect(layer.seen).toEqual(["project"]);
    expect(calls[0]).toMatchObject({ scale: 0.25, causal: false, query: layer.own.query });
  });
});

describe("backends", () => {
  it("are chosen by role, then category, then the default, then dense", () => {
    const dispatcher = dispatcherWith("X", recording().backend);
    dispatcher.registerBackend("Y", recording().backend);
    dispatcher.configure({
      default: "auto",
      perRole: { self: { backend: "X", extra: { windowSize: 8 } }, cross: "Y" },
    });
    expect(dispatcher.selection("self")).toEqual({ name: "X", source: "role", extra: { windowSize: 8 } });
    expect(dispatcher.selection("ltx2.audio_to_video", "cross")).toEqual({ name: "Y", source: "category" });
    expect(dispatcher.selection("joint")).toEqual({ name: "DENSE", source: "built-in" });
    dispatcher.configure({ default: "Y", perRole: { self: "auto" } });
    expect(dispatcher.selection("self")).toEqual({ name: "Y", source: "default" });
  });

  it("hear the settings of their role", () => {
    const { backend, calls } = recording();
    const dispatcher = dispatcherWith("X", backend);
    dispatcher.configure({ perRole: { self: { backend: "X", extra: { windowSize: 8 } } } });
    dispatcher.run(callOf(new FakeLayer()));
    expect(calls[0]!.extra).toEqual({ windowSize: 8 });
  });

  it("must be registered: an unknown name lists the known ones", () => {
    const dispatcher = dispatcherWith("LVSA", recording().backend);
    expect(() => dispatcher.configure({ perRole: { self: "LVSE" } })).toThrow(
      expect.objectContaining({ code: "UNKNOWN_BACKEND", fix: "Known backends: DENSE, LVSA." }),
    );
    expect(() => dispatcher.registerBackend("LVSA", recording().backend)).toThrow(
      expect.objectContaining({ code: "BACKEND_EXISTS" }),
    );
  });

  it("go back to the former choice when a choice is disposed", () => {
    const dispatcher = dispatcherWith("X", recording().backend);
    dispatcher.configure({ default: "X" });
    const second = dispatcher.configure({ perRole: { self: "DENSE" } });
    expect(dispatcher.selection("self").name).toBe("DENSE");
    second[Symbol.dispose]();
    expect(dispatcher.selection("self").name).toBe("X");
  });

  it.each<[string, Partial<AttentionBackend>, Partial<AttentionCall>, boolean, string]>([
    ["head sizes", { headDims: [64, 128] }, {}, false, "takes head sizes 64, 128, the layer has 8"],
    ["causal layers", {}, {}, true, "does not take causal layers"],
    ["masks", { supportsCausal: true }, { keyMask: new Uint8Array(6) }, false, "does not take masks"],
  ])("are refused before they run when they do not take the call: %s", (_, limits, more, causal, message) => {
    const { backend, calls } = recording(limits);
    const dispatcher = dispatcherWith("X", backend);
    dispatcher.configure({ perRole: { self: "X" } });
    const layer = new FakeLayer();
    layer.causal = causal;
    expect(() => dispatcher.run(callOf(layer, more))).toThrow(
      expect.objectContaining({
        code: "BACKEND_UNFIT",
        message: `attention backend X (chosen by role) ${message}`,
        where: "blocks.0.attn1",
      }),
    );
    expect(calls).toHaveLength(0);
  });

  it("get the mask where they honour it", () => {
    const { backend, calls } = recording({ supportsMask: true });
    const dispatcher = dispatcherWith("X", backend);
    dispatcher.configure({ default: "X" });
    const keyMask = Uint8Array.of(1, 1, 1, 1, 0, 0);
    dispatcher.run(callOf(new FakeLayer(), { keyMask }));
    expect(calls[0]!.keyMask).toBe(keyMask);
  });
});
