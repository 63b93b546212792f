/** Plays the small pictures of the latents in a canvas while the clip is being made. */
import type { Preview } from "@lvsa/web";
import { element } from "./dom.js";

/** Milliseconds that one latent frame is shown. */
const FRAME_MILLISECONDS = 120;

export class PreviewCanvas {
  readonly #canvas = element("preview", HTMLCanvasElement);
  #preview: Preview | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #frame = 0;

  show(preview: Preview): void {
    this.#preview = preview;
    this.#canvas.hidden = false;
    this.#canvas.width = preview.width;
    this.#canvas.height = preview.height;
    this.#canvas.setAttribute(
      "aria-label",
      `Preview after step ${preview.step}${preview.trueColours ? "" : ", in false colours"}`,
    );
    this.#timer ??= setInterval(() => this.#draw(), FRAME_MILLISECONDS);
    this.#draw();
  }

  clear(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#preview = undefined;
    this.#canvas.hidden = true;
  }

  #draw(): void {
    if (!this.#preview) return;
    const { data, width, height, frames } = this.#preview;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const frame = still ? 0 : this.#frame++ % frames;
    const size = width * height * 4;
    const picture = new ImageData(data.slice(frame * size, (frame + 1) * size), width, height);
    this.#canvas.getContext("2d")?.putImageData(picture, 0, 0);
  }
}
