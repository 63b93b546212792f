/** Whose turn it is: runs that are stopped, that wait for each other, and engines that are disposed. */
import { expect, it } from "vitest";
import { drain, forEachFamily } from "../testing-support/engine-families.js";

forEachFamily(({ encoder, clip: o }, at) => {
  const component = encoder ?? "transformer";

  const stages = ["before", `encode-prompt ${component}`, "load transformer", "step", "load vae", "decode"];
  it.each(stages)("stops in %s with the caller's reason, and works afterwards", async (when) => {
    const right = await at.frames(o);
    const controller = new AbortController();
    const reason = new Error("mine");
    if (when === "before") controller.abort(reason);
    const run = async () =>
      drain(
        await at.engine.generate({
          ...o,
          signal: controller.signal,
          onStage: ({ stage, component: part }) => {
            if (`${stage} ${part ?? ""}`.trim() === when) controller.abort(reason);
          },
          onStep: () => {
            if (when === "step") controller.abort(reason);
          },
        }),
      );
    const error = await run().catch((e: unknown) => e);
    expect(error).toMatchObject({ name: "AbortError", code: "ABORTED" });
    expect((error as Error).cause).toBe(reason);
    expect(await drain(await at.engine.generate(o))).toEqual(right);
  });

  it.each(["encode-prompt", "load", "step", "decode"])(
    "lets a second generation that begins in %s wait, and both are right",
    async (when) => {
      const alone = [await at.frames(o), await at.frames({ ...o, seed: 4 })];
      let second: Promise<number[]> | undefined;
      const start = () => {
        second ??= at.engine.generate({ ...o, seed: 4 }).then(drain);
      };
      const first = await at.engine.generate({
        ...o,
        onStage: ({ stage }) => {
          if (stage === when) start();
        },
        onStep: () => {
          if (when === "step") start();
        },
      });
      expect([await drain(first), await second]).toEqual(alone);
    },
  );

  it("generates again while frames are being read", async () => {
    const first = await at.engine.generate(o);
    const frames: number[] = [];
    let inner: number[] | undefined;
    for await (const frame of first.frames) {
      frames.push(frame.length);
      inner ??= await drain(await at.engine.generate({ ...o, seed: 4 }));
    }
    expect(frames.length).toBe(first.frameCount);
    expect(inner!.length).toBe(first.frameCount);
    expect(() => first.frames[Symbol.asyncIterator]()).toThrow(
      expect.objectContaining({ code: "FRAMES_TAKEN" }),
    );
  });

  it.each(["encode-prompt", "load", "step", "decode", "afterwards"])(
    "ends with ENGINE_DISPOSED when it is disposed in %s",
    async (when) => {
      const run = async () => {
        const result = await at.engine.generate({
          ...o,
          onStage: ({ stage }) => {
            if (stage === when) at.engine.dispose();
          },
          onStep: () => {
            if (when === "step") at.engine.dispose();
          },
        });
        if (when === "afterwards") at.engine.dispose();
        return drain(result);
      };
      await expect(run()).rejects.toMatchObject({ code: "ENGINE_DISPOSED" });
      expect(at.device.memory().liveBytes).toBe(at.liveBefore);
      await expect(at.engine.generate(o)).rejects.toMatchObject({ code: "ENGINE_DISPOSED" });
    },
  );

  it("frees what a reader left lying when it is disposed", async () => {
    const { frames } = await at.engine.generate(o);
    const reader = frames[Symbol.asyncIterator]();
    await reader.next();
    at.engine.dispose();
    expect(at.device.memory().liveBytes).toBe(at.liveBefore);
    await expect(reader.next()).rejects.toMatchObject({ code: "ENGINE_DISPOSED" });
  });
});
