/** Previews: files that each step replaces, and pictures by each terminal's means, read back. */
import { EventEmitter } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LatentPreview } from "@lvsa/diffusion";
import { decodePng } from "@lvsa/video";
import { afterAll, describe, expect, it } from "vitest";
import { createReporter } from "../generate/reporter.js";
import type { CommandIo } from "../io.js";
import { halfBlocks } from "./half-blocks.js";
import { frameOf, scaled, strip } from "./picture.js";
import { drawn, pngPreview, terminalPreview } from "./preview-writer.js";
import { sixelPicture } from "./sixel.js";
import { colourDepth, isKitty, type TerminalInput, terminalGraphics } from "./terminal-graphics.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-preview-"));
afterAll(() => rm(folder, { recursive: true }));

/** Channels are the colours. */
const preview = new LatentPreview(false, [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, 1, 0],
]);
const [frames, height, width] = [5, 4, 6];
const colour = (t: number, y: number, x: number, c: number) =>
  ((t * 41 + y * 29 + x * 17 + c * 71) % 256) / 255;
const data = Float32Array.from({ length: 3 * frames * height * width }, (_, i) => {
  const [c, t] = [Math.floor(i / (frames * height * width)), Math.floor(i / (height * width)) % frames];
  return colour(t, Math.floor(i / width) % height, i % width, c);
});
const state = (step: number) => ({ step, latents: { data, shape: [1, 3, frames, height, width] } });
const byte = (t: number, y: number, x: number, c: number) => Math.round(255 * colour(t, y, x, c));

describe("pictures", () => {
  const shown = preview.picture(state(1).latents, 1);

  it("are in the model's colours where these are known", () => {
    expect(shown.trueColours).toBe(true);
    expect(new LatentPreview(false).picture(state(1).latents, 1).trueColours).toBe(false);
    const { rgb } = frameOf(shown, 3);
    for (let i = 0; i < rgb.length; i++) {
      const [cell, c] = [Math.floor(i / 3), i % 3];
      expect(rgb[i]).toBe(byte(3, Math.floor(cell / width), cell % width, c));
    }
  });

  it("have the first, middle and last frame beside each other", () => {
    const picture = strip(shown, 3);
    expect(picture).toMatchObject({ width: 18, height: 4 });
    for (const [i, frame] of [0, 2, 4].entries()) {
      expect(picture.rgb[(1 * 18 + i * width + 2) * 3]).toBe(byte(frame, 1, 2, 0));
    }
    expect(strip({ ...shown, frames: 1 }, 3).width).toBe(6);
  });

  it("are scaled by whole pixels up, and by means down", () => {
    const two = { rgb: Uint8Array.of(0, 0, 0, 100, 50, 20), width: 2, height: 1 };
    expect(scaled(two, 1, 1).rgb).toEqual(Uint8Array.of(50, 25, 10));
    expect(scaled(two, 4, 1).rgb).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 100, 50, 20, 100, 50, 20));
  });
});

describe("--preview png", () => {
  it("replaces one animated file after each step, and takes it away at the end", async () => {
    const path = join(folder, "clip.mp4.preview.png");
    const writer = pngPreview(preview, path, expect.unreachable);
    for (const step of [1, 2]) {
      await writer.show(state(step));
      const png = await decodePng(await readFile(path));
      expect(png).toMatchObject({ width: 24, height: 16 });
      expect(png.frames).toHaveLength(frames);
      expect(png.frames[4]![(5 * 24 + 9) * 3 + 1]).toBe(byte(4, 1, 2, 1));
      expect(await readdir(folder)).toEqual(["clip.mp4.preview.png"]);
    }
    await writer.done();
    expect(await readdir(folder)).toEqual([]);
  });

  it("says once that it can not be written, and does not end the run", async () => {
    const path = join(folder, "taken");
    await mkdir(join(path, "by a folder"), { recursive: true });
    const said: string[] = [];
    const writer = pngPreview(preview, path, (line) => said.push(line));
    await writer.show(state(1));
    await writer.show(state(2));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/no more previews/);
    expect(await readdir(folder)).toEqual(["taken"]);
  });
});

/** Runs of sixels back to colours, in percent. */
function decodeSixel(text: string): { width: number; height: number; at(x: number, y: number): string } {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequence begins and ends with one.
  const [, w, h, body] = /^\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\$/s.exec(text)!;
  const palette = new Map<string, string>();
  const pixels = new Map<string, string>();
  let [x, top, current] = [0, 0, ""];
  for (const [token] of body!.matchAll(/#\d+(;2;\d+;\d+;\d+)?|!\d+.|[$-]|[?-~]/g)) {
    const define = /^#(\d+);2;(.*)$/.exec(token);
    if (define) palette.set(define[1]!, define[2]!);
    else if (token.startsWith("#")) current = token.slice(1);
    else if (token === "$") x = 0;
    else if (token === "-") [x, top] = [0, top + 6];
    else {
      const [, count = "1", character] = /^(?:!(\d+))?(.)$/.exec(token)!;
      const mask = character!.charCodeAt(0) - 63;
      for (let n = 0; n < Number(count); n++, x++) {
        for (let y = 0; y < 6; y++) if (mask & (1 << y)) pixels.set(`${x},${top + y}`, palette.get(current)!);
      }
    }
  }
  return { width: Number(w), height: Number(h), at: (px, py) => pixels.get(`${px},${py}`) ?? "" };
}

describe("--preview terminal", () => {
  const picture = strip(preview.picture(state(1).latents, 1), 3);
  const columns = () => 40;

  it("draws half blocks: two pixels in each character", () => {
    const small = { rgb: Uint8Array.of(1, 2, 3, 255, 0, 0, 4, 5, 6, 0, 95, 255), width: 2, height: 2 };
    expect(halfBlocks(small, "24-bit")).toEqual([
      "\x1b[38;2;1;2;3;48;2;4;5;6m▀\x1b[38;2;255;0;0;48;2;0;95;255m▀\x1b[0m",
    ]);
    expect(halfBlocks(small, "256")).toEqual(["\x1b[38;5;16;48;5;16m▀\x1b[38;5;196;48;5;27m▀\x1b[0m"]);
  });

  it("draws by the kitty protocol: the PNG in pieces, of which all but the last say that more come", async () => {
    const { text, rows } = await drawn(picture, { graphics: "kitty", depth: "24-bit", columns });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin and end with one.
    const pieces = [...text.matchAll(/\x1b_G([^;]*);([^\x1b]*)\x1b\\/g)];
    expect(pieces[0]![1]).toMatch(new RegExp(`^a=T,f=100,.*c=39,r=${rows},q=2,C=1,m=`));
    expect(pieces.map(([, keys]) => /m=(\d)/.exec(keys!)![1]).join("")).toMatch(/^1*0$/);
    for (const [, , payload] of pieces) expect(payload!.length).toBeLessThanOrEqual(4096);
    const png = await decodePng(Buffer.from(pieces.map(([, , payload]) => payload).join(""), "base64"));
    expect(png).toMatchObject({ width: 39 * 8, height: rows * 16 });
  });

  it("draws sixels whose pixels are the picture's, to the nearest of six levels", () => {
    const wide = scaled(picture, 36, 8);
    const { width: w, height: h, at } = decodeSixel(sixelPicture(wide));
    expect([w, h]).toEqual([36, 8]);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const rgb = [0, 1, 2].map((c) => 20 * Math.round(wide.rgb[(y * w + x) * 3 + c]! / 51));
        expect(at(x, y)).toBe(rgb.join(";"));
      }
    }
  });

  it.each(["half-blocks", "kitty", "sixel"] as const)(
    "fits %s into the columns that there are",
    async (graphics) => {
      for (const most of [10, 40, 300]) {
        const { rows } = await drawn(picture, { graphics, depth: "256", columns: () => most });
        expect(rows).toBeLessThanOrEqual(12);
        const lines = halfBlocks(scaled(picture, most - 1, 2), "256");
        expect(lines[0]!.split("▀").length - 1).toBe(most - 1);
      }
    },
  );

  it("draws over the last picture, unless something was said since, and keeps the line of progress", async () => {
    let screen = "";
    const write = (text: string) => {
      screen += text;
    };
    const io: CommandIo = { out: write, err: write, redraw: write, isTerminal: true, columns: () => 60 };
    using reporter = createReporter(io, { json: false, quiet: false });
    reporter.begin(3, 0);
    const writer = terminalPreview(preview, reporter, { graphics: "half-blocks", depth: "24-bit", columns });
    const since = async (act: () => Promise<void> | void) => {
      screen = "";
      await act();
      return screen;
    };
    const first = await since(() => writer.show(state(1)));
    const rows = first.split("▀\x1b[0m\n").length - 1;
    expect(rows).toBeGreaterThan(1);
    // The line of progress is cleared before, and drawn again below.
    expect(first.startsWith("\r\x1b[2K\x1b[38")).toBe(true);
    expect(first.split("\n").at(-1)).toContain("\r\x1b[2K[....................]  step 0/3");
    expect(await since(() => writer.show(state(2)))).toContain(`\r\x1b[2K\x1b[${rows}A\x1b[38`);
    reporter.notice("a word");
    expect(await since(() => writer.show(state(3)))).not.toContain(`\x1b[${rows}A`);
  });

  it("says nothing to programs, and nothing when it is to be quiet", async () => {
    let said = "";
    const out = (text: string) => {
      said += text;
    };
    const io: CommandIo = { out, err: out, redraw: out, isTerminal: true };
    for (const voice of [
      { json: true, quiet: false },
      { json: false, quiet: true },
    ]) {
      using reporter = createReporter(io, voice);
      reporter.picture({ text: "picture", rows: 1 });
    }
    expect(said).toBe("");
  });
});

/** A terminal that answers a question about its attributes, or does not. */
class FakeInput extends EventEmitter implements TerminalInput {
  readonly isTTY = true;
  isRaw = false;
  isListening = false;
  setRawMode(raw: boolean) {
    this.isRaw = raw;
  }
  resume() {
    this.isListening = true;
  }
  pause() {
    this.isListening = false;
  }
}

describe("a terminal", () => {
  const none = () => expect.unreachable("not asked");

  it.each([
    [{ TERM: "xterm-kitty" }, true],
    [{ TERM: "xterm-256color", KITTY_WINDOW_ID: "1" }, true],
    [{ TERM: "xterm-ghostty" }, true],
    [{ TERM: "tmux-256color", KITTY_WINDOW_ID: "1", TMUX: "/tmp/x" }, false],
    [{ TERM: "screen", KITTY_WINDOW_ID: "1" }, false],
    [{ TERM: "xterm-256color" }, false],
    [{}, false],
  ])("%o draws by the kitty protocol: %s", async (environment, expected) => {
    expect(isKitty(environment)).toBe(expected);
    if (expected) expect(await terminalGraphics(environment, new FakeInput(), none)).toBe("kitty");
  });

  it.each([
    [["\x1b[?62;4;22c"], "sixel"],
    [["\x1b[?6", "2;4c"], "sixel"],
    [["\x1b[?62;22;14c"], "half-blocks"],
    [["\x1b[?1;2c"], "half-blocks"],
    [["typed by somebody"], "half-blocks"],
    [[], "half-blocks"],
  ])("that answers %j has %s, and its input is as it was", async (answers, expected) => {
    const input = new FakeInput();
    const asked: string[] = [];
    const found = await terminalGraphics(
      {},
      input,
      (query) => {
        asked.push(query);
        expect(input.isRaw).toBe(true);
        for (const answer of answers) queueMicrotask(() => input.emit("data", Buffer.from(answer, "latin1")));
      },
      30,
    );
    expect(found).toBe(expected);
    expect(asked).toEqual(["\x1b[c"]);
    expect([input.isRaw, input.isListening, input.listenerCount("data")]).toEqual([false, false, 0]);
  });

  it("whose input is none is not asked", async () => {
    const input = Object.assign(new FakeInput(), { isTTY: false as true });
    expect(await terminalGraphics({}, input, none)).toBe("half-blocks");
  });

  it("says how many colours it has", () => {
    expect(colourDepth({ COLORTERM: "truecolor" })).toBe("24-bit");
    expect(colourDepth({})).toBe("256");
  });
});
