/** The part of gifenc used here; the package has no types. */

interface GifFrameOptions {
  /** Writes the screen size, this palette and the repeat count first. */
  readonly first?: boolean;
  readonly palette?: readonly (readonly number[])[];
  /** Milliseconds. */
  readonly delay?: number;
}

export interface GifStream {
  writeHeader(): void;
  writeFrame(indices: Uint8Array, width: number, height: number, options: GifFrameOptions): void;
  bytes(): Uint8Array;
  reset(): void;
}

export interface Gifenc {
  GIFEncoder(options: { readonly auto: boolean; readonly initialCapacity: number }): GifStream;
  quantize(rgba: Uint8Array, colors: number, options: { readonly format: "rgb565" | "rgb444" }): number[][];
}

/** Loads the package: Node sees its CommonJS build under `default`, bundlers its ES module. */
export async function loadGifenc(): Promise<Gifenc> {
  // @ts-expect-error no declarations in the package
  const loaded = (await import("gifenc")) as Gifenc & { readonly default: Gifenc };
  return "GIFEncoder" in loaded ? loaded : (loaded as { readonly default: Gifenc }).default;
}
