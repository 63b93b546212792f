import {
  AttentionDispatcher,
  type AttentionModule,
  type EnginePlugin,
  registeredPlugins,
  registerPlugin,
} from "@lvsa/core";
import type { Device } from "@lvsa/runtime";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { PipelineLoader, VideoPipeline } from "../pipelines/video-pipeline.js";
import { Engine, type EngineOptions } from "./engine.js";

const disposed = vi.hoisted(() => ({ count: 0 }));
vi.mock("../checkpoint/checkpoint-folder.js", () => ({
  readModelIndex: async () => ({ _class_name: "FakePipeline" }),
}));
vi.mock("./pipeline-registry.js", () => ({
  pipelineLoader: async (): Promise<PipelineLoader> => async (_folder, options) =>
    ({
      family: "fake",
      attention: options.attention ?? new AttentionDispatcher(),
      dispose: () => {
        disposed.count++;
      },
    }) as VideoPipeline,
}));

const layer = { name: "blocks.0.attn1", index: 0, role: "self" } as AttentionModule;

/** A plugin that notes its life, and claims a layer if asked to. */
function plugin(name: string, log: string[], more: { order?: number; claims?: boolean } = {}): EnginePlugin {
  return {
    name,
    ...(more.order === undefined ? {} : { order: more.order }),
    setup(engine) {
      log.push(`+${name}`);
      const claim = more.claims ? engine.attention.claim(layer, name, (call, next) => next(call)) : undefined;
      return {
        [Symbol.dispose]: () => {
          log.push(`-${name}`);
          claim?.[Symbol.dispose]();
        },
      };
    },
  };
}

const open = (options: Partial<EngineOptions> = {}) =>
  Engine.open({} as never, { device: { info: { limits: {} } } as Device, ...options });

const registered: Disposable[] = [];
afterEach(() => {
  for (const one of registered.splice(0)) one[Symbol.dispose]();
});

describe("plugins", () => {
  it("registered before an engine exists are picked up by it, once by name", async () => {
    const log: string[] = [];
    registered.push(registerPlugin(plugin("early", log)));
    // Registering again (a module loaded twice) replaces it.
    registered.push(registerPlugin(plugin("early", log)));
    expect(registeredPlugins().map((p) => p.name)).toEqual(["early"]);
    using engine = await open();
    expect(engine.plugins).toEqual(["early"]);
    expect(log).toEqual(["+early"]);
    using without = await open({ registered: false });
    expect(without.plugins).toEqual([]);
  });

  it("are set up by order, and removed newest first", async () => {
    const log: string[] = [];
    registered.push(registerPlugin(plugin("registered", log)));
    const engine = await open({
      plugins: [plugin("late", log, { order: 1 }), plugin("early", log, { order: -1 })],
    });
    engine.dispose();
    expect(log).toEqual(["+early", "+registered", "+late", "-late", "-registered", "-early"]);
  });

  it("are removed one by one, twice without effect, and not set up twice", async () => {
    const log: string[] = [];
    using engine = await open();
    const first = plugin("one", log, { claims: true });
    const use = await engine.use(first);
    await engine.use(first);
    use[Symbol.dispose]();
    use[Symbol.dispose]();
    expect(log).toEqual(["+one", "-one"]);
    expect(engine.plugins).toEqual([]);
    // Its layer is free again.
    engine.attention.claim(layer, "someone", (call, next) => next(call));
  });

  it("that claim one layer are an error naming both; the engine does not stay half open", async () => {
    const log: string[] = [];
    const before = disposed.count;
    const two = [plugin("one", log, { claims: true }), plugin("two", log, { claims: true })];
    await expect(open({ plugins: two })).rejects.toThrow(/both one and two want the attention layer/);
    expect(log).toEqual(["+one", "+two", "-one"]);
    expect(disposed.count).toBe(before + 1);
  });

  it("may be named by package", async () => {
    const missing = open({ plugins: ["@lvsa/no-such-plugin"] });
    await expect(missing).rejects.toThrow(
      expect.objectContaining({ code: "PLUGIN_NOT_FOUND", fix: "npm install @lvsa/no-such-plugin" }),
    );
    const url = `data:text/javascript,${encodeURIComponent(
      "export const plugin = { name: 'from-a-package', setup: () => ({ [Symbol.dispose]() {} }) };",
    )}`;
    using engine = await open({ plugins: [url] });
    expect(engine.plugins).toEqual(["from-a-package"]);
    // Names that only the application can resolve.
    const importPlugin = async (name: string) => ({ plugin: plugin(name, []) });
    using byApplication = await open({ plugins: ["only-the-app-knows"], importPlugin });
    expect(byApplication.plugins).toEqual(["only-the-app-knows"]);
    await expect(open({ plugins: ["data:text/javascript,export const x = 1"] })).rejects.toThrow(
      expect.objectContaining({ code: "NOT_A_PLUGIN" }),
    );
  });

  it("bring backends that the attention config may name", async () => {
    const brings: EnginePlugin = {
      name: "brings",
      setup: (engine) => engine.attention.registerBackend("MINE", { run: (call, dense) => dense(call) }),
    };
    using engine = await open({ plugins: [brings], attention: { perRole: { self: "MINE" } } });
    expect(engine.attention.selection("self").name).toBe("MINE");
    await expect(open({ attention: { default: "MINE" } })).rejects.toThrow(
      expect.objectContaining({ code: "UNKNOWN_BACKEND" }),
    );
  });
});
