/** The preview of a checkpoint: how its latents lie, and the colours that it states. */
import { ConfigError } from "@lvsa/runtime";
import { type CheckpointSettings, SETTINGS_FILE } from "../models/definition/checkpoint-settings.js";
import type { ModelGeometry } from "../models/definition/video-model.js";
import { LatentPreview } from "./latent-preview.js";

/** @throws ConfigError `BAD_CONFIG` where the colours are those of other latents */
export function checkpointPreview(
  { framesFirst, latentChannels }: Pick<ModelGeometry, "framesFirst" | "latentChannels">,
  { latentColours: colours }: Pick<CheckpointSettings, "latentColours">,
): LatentPreview {
  const stated = colours && colours[0]!.length - 1;
  if (stated === undefined || stated === latentChannels) return new LatentPreview(framesFirst, colours);
  throw new ConfigError(
    "BAD_CONFIG",
    `latent_rgb has factors of ${stated} channels, the latents have ${latentChannels}`,
    {
      where: SETTINGS_FILE,
      fix: "Give one line of factors for each channel, or leave latent_rgb out.",
    },
  );
}
