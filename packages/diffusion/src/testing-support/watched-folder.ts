/** A checkpoint folder that counts what is read, and may hold a damaged tensor. */
import type { ByteSource, FolderReader } from "@lvsa/runtime";

export interface WatchedFolder extends FolderReader {
  /** Bytes read from weight files since the last `reset`, by component. */
  readonly bytesRead: ReadonlyMap<string, number>;
  reset(): void;
  /** From now on the first number of a component's tensor is NaN: `poison("vae", "decoder.conv_out.weight")`. */
  poison(component: string, tensor: string): void;
}

export function watchedFolder(base: FolderReader): WatchedFolder {
  const bytesRead = new Map<string, number>();
  let poisoned: { component: string; tensor: string } | undefined;
  return {
    name: base.name,
    bytesRead,
    reset: () => bytesRead.clear(),
    poison: (component, tensor) => {
      poisoned = { component, tensor };
    },
    readText: (path) => base.readText(path),
    readBytes: (path) => base.readBytes(path),
    exists: (path) => base.exists(path),
    list: (path) => base.list(path),
    open: async (path) => {
      const source = await base.open(path);
      const component = path.split("/")[0]!;
      const bad = poisoned?.component === component ? await offsetOf(source, poisoned.tensor) : undefined;
      return {
        name: source.name,
        size: source.size,
        close: () => source.close(),
        read: async (offset, length, into) => {
          bytesRead.set(component, (bytesRead.get(component) ?? 0) + length);
          const bytes = await source.read(offset, length, into);
          if (bad !== undefined && bad >= offset && bad + 4 <= offset + length) {
            // All bits set are NaN in f32, and twice in f16 and bf16.
            bytes.fill(0xff, bad - offset, bad - offset + 4);
          }
          return bytes;
        },
      };
    },
  };
}

/** Where a tensor starts in a safetensors file; undefined where it lies in another shard. */
async function offsetOf(source: ByteSource, tensor: string): Promise<number | undefined> {
  const start = await source.read(0, 8);
  const length = Number(new DataView(start.buffer, start.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(await source.read(8, length))) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const found = header[tensor];
  return found && 8 + length + found.data_offsets[0];
}
