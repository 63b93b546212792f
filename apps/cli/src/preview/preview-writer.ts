/** `--preview`: what the latents look like after each step, in a file beside the output or in the terminal. */
import { open, rename, rm } from "node:fs/promises";
import type { LatentPreview, Preview, RunState } from "@lvsa/diffusion";
import { encodePng, encodeVideo } from "@lvsa/video";
import { partialPath } from "@lvsa/video/node";
import type { RunReporter } from "../generate/reporter.js";
import type { DrawnPicture } from "./drawn-picture.js";
import { type ColourDepth, halfBlocks } from "./half-blocks.js";
import { kittyPicture } from "./kitty.js";
import { frameOf, type Picture, scaled, strip } from "./picture.js";
import { sixelPicture } from "./sixel.js";
import type { TerminalGraphics } from "./terminal-graphics.js";

export interface PreviewWriter {
  /** After a step. A picture that can not be written does not end the run: it is said once. */
  show(state: Pick<RunState, "latents" | "step">): Promise<void>;
  /** The results are written. */
  done(): Promise<void>;
}

/** Pixels of a cell in a file: latents are small. */
const MAGNIFIED = 4;
/** Latent frames a second. */
const FPS = 4;

/** An animated PNG that each step replaces; it goes when the results are there. */
export function pngPreview(
  preview: LatentPreview,
  path: string,
  notice: (line: string) => void,
): PreviewWriter {
  let hasFailed = false;
  return {
    async show({ latents, step }) {
      if (hasFailed) return;
      const partial = partialPath(path);
      try {
        const bytes = await animated(preview.picture(latents, step));
        const file = await open(partial, "wx");
        try {
          await file.writeFile(bytes);
        } finally {
          await file.close();
        }
        await rename(partial, path);
      } catch (error) {
        hasFailed = true;
        await rm(partial, { force: true }).catch(() => undefined);
        notice(`warning: no more previews are written to ${path}: ${(error as Error).message}`);
      }
    },
    done: () => rm(path, { force: true }),
  };
}

async function animated(preview: Preview): Promise<Uint8Array> {
  const [width, height] = [preview.width * MAGNIFIED, preview.height * MAGNIFIED];
  function* frames() {
    for (let i = 0; i < preview.frames; i++) yield scaled(frameOf(preview, i), width, height).rgb;
  }
  const size = { width, height, frameCount: preview.frames, fps: FPS };
  return (await encodeVideo({ format: "png", frames: frames(), ...size })).bytes;
}

/** Latent frames beside each other. */
const FRAMES = 3;
/** Lines of the terminal, of which a picture leaves most to what is said. */
const ROWS = 12;
/** Pixels of a character, at least, so that a picture never needs more lines than were made for it. */
const CELL = { width: 8, height: 16 };

export interface TerminalPreviewOptions {
  readonly graphics: TerminalGraphics;
  readonly depth: ColourDepth;
  readonly columns: () => number | undefined;
}

/** The first, middle and last latent frame, drawn over the last picture as long as nothing was said since. */
export function terminalPreview(
  preview: LatentPreview,
  reporter: Pick<RunReporter, "picture">,
  options: TerminalPreviewOptions,
): PreviewWriter {
  return {
    async show({ latents, step }) {
      reporter.picture(await drawn(strip(preview.picture(latents, step), FRAMES), options));
    },
    done: () => Promise.resolve(),
  };
}

/** A picture in at most as many columns as there are. */
export async function drawn(
  picture: Picture,
  { graphics, depth, columns: most }: TerminalPreviewOptions,
): Promise<DrawnPicture> {
  const available = Math.max(2, (most() ?? 80) - 1);
  // A character is twice as high as wide.
  const columns = Math.min(available, Math.max(2, Math.round((2 * ROWS * picture.width) / picture.height)));
  const rows = Math.max(1, Math.round((columns * picture.height) / picture.width / 2));
  if (graphics === "half-blocks") {
    const lines = halfBlocks(scaled(picture, columns, 2 * rows), depth);
    return { text: `${lines.join("\n")}\n`, rows };
  }
  const image = scaled(picture, columns * CELL.width, rows * CELL.height);
  const graphic =
    graphics === "kitty"
      ? kittyPicture(await encodePng(image.rgb, image.width, image.height), columns, rows)
      : sixelPicture(image);
  // Room first, or the picture would scroll away from where the cursor comes back to.
  return { text: `${"\n".repeat(rows)}\x1b[${rows}A\x1b7${graphic}\x1b8\x1b[${rows}B\r`, rows };
}
