/**
 * Colours of a checkpoint's latents for previews: `latent_rgb` of its lvsa.json, by least squares of decoded pixels on
 * latent channels over a few clips of its own, and the error that is left on one that was not used.
 *
 *     node fit-latent-rgb.mjs <model folder> [steps] < prompts.txt
 */
import { readFileSync } from "node:fs";
import { Engine } from "../../packages/diffusion/dist/index.js";
import { createDevice, nodeFolder } from "../../packages/diffusion/dist/node.js";

const [folder, steps] = process.argv.slice(2);
const prompts = readFileSync(0, "utf8").split("\n").filter(Boolean);
const device = await createDevice();
const engine = await Engine.open(nodeFolder(folder), { device, keepLoaded: true });
const preview = engine.pipeline.latentPreview();
let errors = [];
for (const [seed, prompt] of prompts.entries()) {
  const clip = await engine.generate({
    prompt,
    seed,
    ...(steps ? { numInferenceSteps: Number(steps) } : {}),
  });
  const fitter = preview.fitter(clip.latents, clip.frameCount);
  const pictures = preview.picture(clip.latents, 0);
  const every = (clip.frameCount - 1) / (pictures.frames - 1);
  const scale = clip.width / pictures.width;
  errors = [];
  let index = 0;
  for await (const frame of clip.frames) {
    if (index % every === 0) {
      for (let cell = 0; cell < pictures.width * pictures.height; cell++) {
        const [x, y] = [cell % pictures.width, Math.floor(cell / pictures.width)];
        for (let k = 0; k < 3; k++) {
          let mean = 0;
          for (let p = 0; p < scale * scale; p++) {
            const at = (y * scale + Math.floor(p / scale)) * clip.width + x * scale + (p % scale);
            mean += frame[at * 3 + k] / scale ** 2;
          }
          const seen = pictures.data[((index / every) * pictures.width * pictures.height + cell) * 4 + k];
          errors.push((seen - mean) ** 2);
        }
      }
    }
    fitter.frame(frame, index, clip.width);
    index += 1;
  }
  const rms = Math.sqrt(errors.reduce((sum, e) => sum + e, 0) / errors.length);
  console.error(`${prompt}: before it was learnt, RMS error ${rms.toFixed(1)} of 255`);
  fitter.fit();
}
const rows = preview.colours;
const channels = rows[0].length - 1;
const round = (value) => Number(value.toPrecision(4));
const factors = Array.from({ length: channels }, (_, c) => rows.map((row) => round(row[c])));
console.log(JSON.stringify({ latent_rgb: { factors, bias: rows.map((row) => round(row[channels])) } }));
engine.dispose();
device.dispose();
process.exit(0);
