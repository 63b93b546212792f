/** Opening a component's weights for as long as they are read. */
import { type FolderReader, openWeights, subFolder, type WeightSource } from "@lvsa/runtime";

/** A component's weights, the caller's to close. diffusers models are named `diffusion_pytorch_model`, text encoders `model`. */
export function openComponentWeights(
  folder: FolderReader,
  component: string,
  baseName: "diffusion_pytorch_model" | "model" = "diffusion_pytorch_model",
): Promise<WeightSource> {
  return openWeights(subFolder(folder, component), baseName);
}

/** Opens a component's weights for `body`. */
export async function withWeights<T>(
  folder: FolderReader,
  component: string,
  body: (source: WeightSource) => Promise<T>,
  baseName: "diffusion_pytorch_model" | "model" = "diffusion_pytorch_model",
): Promise<T> {
  const source = await openComponentWeights(folder, component, baseName);
  try {
    return await body(source);
  } finally {
    await source.close();
  }
}
