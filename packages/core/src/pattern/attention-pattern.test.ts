import { ConfigError } from "@lvsa/runtime";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AttentionPattern, type AttentionPatternOptions } from "./attention-pattern.js";
import { computeGlobalFrames } from "./global-frames.js";

/** Any pattern of one rank or of several that divide the sequence. */
const options: fc.Arbitrary<AttentionPatternOptions> = fc
  .record({
    frames: fc.integer({ min: 1, max: 40 }),
    patchesPerFrame: fc.integer({ min: 1, max: 12 }),
    window: fc.integer({ min: 0, max: 6 }),
    nFirstFrames: fc.integer({ min: 0, max: 4 }),
    keyframeInterval: fc.option(fc.integer({ min: 1, max: 12 })),
    rotationOffset: fc.integer({ min: 0, max: 60 }),
    expandWindow: fc.boolean(),
    worldSize: fc.integer({ min: 1, max: 5 }),
    rank: fc.nat(4),
  })
  .filter((o) => (o.frames * o.patchesPerFrame) % o.worldSize === 0)
  .filter((o) => o.window > 0 || o.nFirstFrames > 0 || o.keyframeInterval !== null)
  .map((o) => ({ ...o, rank: o.rank % o.worldSize }));

const oneRank = options.map((o) => ({ ...o, worldSize: 1, rank: 0 }));
const rowsOf = (pattern: AttentionPattern) =>
  pattern.frameSegments.map((segment, row) => ({ segment, attended: [...pattern.attendedFrames(row)] }));

describe("AttentionPattern", () => {
  it("lists sorted, unique frames of the clip in a well-formed CSR", () => {
    fc.assert(
      fc.property(options, (o) => {
        const p = AttentionPattern.build(o);
        expect(p.indptr.length).toBe(p.rows + 1);
        expect(p.indptr[0]).toBe(0);
        expect(p.indptr.at(-1)).toBe(p.indices.length);
        for (const { attended } of rowsOf(p)) {
          expect(attended.length).toBeGreaterThan(0);
          expect(attended).toEqual([...new Set(attended)].sort((a, b) => a - b));
          expect(attended.at(-1)).toBeLessThan(o.frames);
        }
      }),
    );
  });

  it("lets every query attend to its own frame when there is a window", () => {
    fc.assert(
      fc.property(options, (o) => {
        fc.pre(o.window >= 1);
        for (const { segment, attended } of rowsOf(AttentionPattern.build(o))) {
          expect(attended).toContain(segment.frame);
        }
      }),
    );
  });

  it("makes condition frames global, whatever else is", () => {
    const conditioned = options.chain((o) =>
      fc.record({
        o: fc.constant(o),
        conditionFrames: fc.uniqueArray(fc.nat(o.frames - 1), { maxLength: 3 }),
      }),
    );
    fc.assert(
      fc.property(conditioned, ({ o, conditionFrames }) => {
        const plain = AttentionPattern.build(o);
        const p = AttentionPattern.build({ ...o, conditionFrames });
        expect(p.globalFrames).toEqual(
          [...new Set([...plain.globalFrames, ...conditionFrames])].sort((a, b) => a - b),
        );
        for (const { attended } of rowsOf(p))
          expect(attended).toEqual(expect.arrayContaining(conditionFrames));
      }),
    );
  });

  it("needs no other key than a condition frame's", () => {
    const bare = { frames: 4, patchesPerFrame: 2, window: 0, nFirstFrames: 0, keyframeInterval: null };
    expect([...AttentionPattern.build({ ...bare, conditionFrames: [3] }).attendedFrames(0)]).toEqual([3]);
    expect(() => AttentionPattern.build({ ...bare, conditionFrames: [4] })).toThrow("conditionFrames is 4");
  });

  it("lets every query attend to every global frame", () => {
    fc.assert(
      fc.property(options, (o) => {
        const p = AttentionPattern.build(o);
        for (const { attended } of rowsOf(p))
          expect(attended).toEqual(expect.arrayContaining([...p.globalFrames]));
      }),
    );
  });

  it("gives every query the same number of frames when the window is expanded", () => {
    fc.assert(
      fc.property(oneRank, (o) => {
        const p = AttentionPattern.build({ ...o, expandWindow: true });
        const globals = p.globalFrames.length;
        const own = o.window === 0 ? 0 : Math.min(2 * o.window + 1, o.frames - globals);
        // An expanded window may overshoot nothing: globals plus exactly its share of other frames.
        for (const { attended } of rowsOf(p)) expect(attended.length).toBe(globals + own);
      }),
    );
  });

  it("moves nothing but the periodic keyframes when it rotates", () => {
    fc.assert(
      fc.property(oneRank, fc.nat(60), (o, step) => {
        const leading = Array.from({ length: Math.min(o.nFirstFrames, o.frames) }, (_, f) => f);
        const periodic = (rotationOffset: number) =>
          computeGlobalFrames({ ...o, nFirstFrames: 0, rotationOffset });
        const still = periodic(0);
        const turned = periodic(step);
        expect(turned).toEqual(still.map((f) => (f + step) % o.frames).sort((a, b) => a - b));
        const { globalFrames } = AttentionPattern.build({ ...o, rotationOffset: step });
        expect(new Set(globalFrames)).toEqual(new Set([...leading, ...turned]));
      }),
    );
  });

  it("makes every frame a keyframe once within one interval", () => {
    fc.assert(
      fc.property(oneRank, (o) => {
        fc.pre(o.keyframeInterval !== null);
        const seen = new Set<number>();
        for (let step = 0; step < o.keyframeInterval!; step++) {
          for (const f of computeGlobalFrames({ ...o, rotationOffset: step })) seen.add(f);
        }
        expect(seen.size).toBe(o.frames);
      }),
    );
  });

  it("splits rows between ranks without loss or overlap, and each global token has one owner", () => {
    fc.assert(
      fc.property(options, (o) => {
        const owned = new Set<number>();
        const gathered: number[] = [];
        let globalTokens = 0;
        for (let rank = 0; rank < o.worldSize!; rank++) {
          const p = AttentionPattern.build({ ...o, rank });
          for (const { frame, startToken, endToken } of p.frameSegments) {
            for (let t = startToken; t < endToken; t++) {
              expect(Math.floor((p.firstToken + t) / o.patchesPerFrame)).toBe(frame);
              owned.add(p.firstToken + t);
            }
          }
          globalTokens = p.globalFrames.length * o.patchesPerFrame;
          for (const part of p.globalContributions()) {
            for (let t = 0; t < part.tokens; t++) {
              const destination = part.destinationToken + t;
              const frame = p.globalFrames[Math.floor(destination / o.patchesPerFrame)]!;
              // The token that lands there is the one that belongs there.
              expect(p.firstToken + part.sourceToken + t).toBe(
                frame * o.patchesPerFrame + (destination % o.patchesPerFrame),
              );
              gathered.push(destination);
            }
          }
        }
        expect(owned.size).toBe(o.frames * o.patchesPerFrame);
        expect(gathered.sort((a, b) => a - b)).toEqual(Array.from({ length: globalTokens }, (_, t) => t));
      }),
    );
  });

  it("names the same key tokens as spans and as frames", () => {
    fc.assert(
      fc.property(options, (o) => {
        const p = AttentionPattern.build(o);
        const { indptr, spans } = p.keySpans();
        const gathered = p.worldSize > 1 ? p.globalFrames.length * o.patchesPerFrame : 0;
        let pairs = 0;
        for (const [row, { segment }] of rowsOf(p).entries()) {
          const actual: number[] = [];
          for (let s = indptr[row]!; s < indptr[row + 1]!; s++) {
            expect(spans[2 * s]).toBeLessThan(spans[2 * s + 1]!);
            for (let t = spans[2 * s]!; t < spans[2 * s + 1]!; t++) {
              const frame = Math.floor(t / o.patchesPerFrame);
              // Back to positions in the whole clip.
              if (t >= gathered) actual.push(p.firstToken + t - gathered);
              else actual.push(p.globalFrames[frame]! * o.patchesPerFrame + (t % o.patchesPerFrame));
            }
          }
          const expected: number[] = [];
          const { lo, hi } = p.windowBounds(segment.frame);
          for (let t = 0; t < o.frames * o.patchesPerFrame; t++) {
            const frame = Math.floor(t / o.patchesPerFrame);
            const local = t >= p.firstToken && t < p.firstToken + p.localTokens;
            if (p.isGlobal(frame) || (local && frame >= lo && frame <= hi)) expected.push(t);
          }
          expect(actual.sort((a, b) => a - b)).toEqual(expected);
          pairs += (segment.endToken - segment.startToken) * expected.length;
        }
        expect(p.density).toBe(pairs / (p.localTokens * o.frames * o.patchesPerFrame));
        expect(p.isDense).toBe(p.density === 1);
      }),
      // Token by token over whole clips: fewer runs keep it under a few seconds.
      { numRuns: 40 },
    );
  });

  it("merges neighbouring frames into one span", () => {
    const p = AttentionPattern.build({
      frames: 8,
      patchesPerFrame: 10,
      window: 1,
      nFirstFrames: 1,
      keyframeInterval: null,
    });
    const { indptr, spans } = p.keySpans();
    // Frame 0: itself (global) and frames 1..3. Frame 5: frame 0, then 4..6.
    expect([...spans.slice(2 * indptr[0]!, 2 * indptr[1]!)]).toEqual([0, 40]);
    expect([...spans.slice(2 * indptr[5]!, 2 * indptr[6]!)]).toEqual([0, 10, 40, 70]);
  });

  it("names the nearest frame counts when ranks do not divide the sequence", () => {
    const build = () =>
      AttentionPattern.build({
        frames: 21,
        patchesPerFrame: 6,
        window: 1,
        nFirstFrames: 1,
        keyframeInterval: 4,
        worldSize: 4,
      });
    expect(build).toThrow(ConfigError);
    expect(build).toThrow(/21 latent frames x 6 tokens = 126 tokens.*4 ranks \(2 left over\)/);
    expect(build).toThrow(
      expect.objectContaining({ fix: expect.stringContaining("20 or 22 latent frames") }),
    );
  });

  it("refuses a pattern in which queries attend to nothing", () => {
    const empty = { frames: 5, patchesPerFrame: 4, window: 0, nFirstFrames: 0, keyframeInterval: 0 };
    expect(() => AttentionPattern.build(empty)).toThrow(expect.objectContaining({ code: "EMPTY_PATTERN" }));
  });

  it.each([
    ["frames", 0],
    ["frames", 2.5],
    ["patchesPerFrame", 0],
    ["window", -1],
    ["nFirstFrames", Number.NaN],
    ["keyframeInterval", -2],
    ["rotationOffset", -1],
    ["worldSize", 0],
    ["rank", 1],
  ])("refuses %s = %s by name", (name, value) => {
    const good = { frames: 5, patchesPerFrame: 4, window: 1, nFirstFrames: 1, keyframeInterval: 2 };
    expect(() => AttentionPattern.build({ ...good, [name]: value })).toThrow(`${name} is ${value}`);
  });

  it("refuses guards outside the clip, and rows that do not exist", () => {
    const good = { frames: 5, patchesPerFrame: 4, window: 1, nFirstFrames: 1, keyframeInterval: 2 };
    expect(() => AttentionPattern.build({ ...good, boundaryGuards: [5] })).toThrow("boundaryGuards is 5");
    expect(() => AttentionPattern.build(good).attendedFrames(5)).toThrow("Row 5");
  });
});
