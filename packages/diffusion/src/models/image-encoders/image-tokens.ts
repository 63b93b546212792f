/** Tokens that an image encoder with this image and patch size gives; CLIP adds one for its class. */
export function imageTokens(config: { image_size: number; patch_size: number }, classToken: boolean): number {
  return Math.floor(config.image_size / config.patch_size) ** 2 + (classToken ? 1 : 0);
}
