/** Opening a component's weights for as long as they are read. */
import { type FolderReader, openWeights, subFolder, type WeightSource } from "@lvsa/runtime";

/** Opens a component's weights for `body`. diffusers models are named `diffusion_pytorch_model`, text encoders `model`. */
export async function withWeights<T>(
  folder: FolderReader,
  component: string,
  body: (source: WeightSource) => Promise<T>,
  baseName: "diffusion_pytorch_model" | "model" = "diffusion_pytorch_model",
): Promise<T> {
  const source = await openWeights(subFolder(folder, component), baseName);
  try {
    return await body(source);
  } finally {
    await source.close();
  }
}
