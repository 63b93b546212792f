/** Weights with low-rank products added to them on the GPU, while they are uploaded. */
import type { Device } from "../device/device.js";
import { throwIfAborted } from "../errors.js";
import { cast } from "../ops/elementwise/elementwise.js";
import { addProduct, addRows } from "../ops/product/add-product.js";
import { quoted } from "../printable.js";
import { elementCount } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { type UploadOptions, uploadTensor } from "./upload.js";
import { type MatrixChange, STREAM_CHUNK_BYTES, type WeightSource } from "./weight-source.js";

/** Parts begin at such rows: of every type and width that is a place where a binding may begin. */
const ROW_STEP = 128;

/**
 * Uploads a tensor and adds its changes, summed in f32 and rounded once to the type that the source says. Beside the
 * result there are `chunkBytes` of it in f32 at a time, and what is added. Undefined where nothing is added: see
 * `WeightSource.merged`.
 * @throws as `uploadTensor`
 */
export async function uploadMerged(
  device: Device,
  source: WeightSource,
  name: string,
  {
    pinned = true,
    label = name,
    signal,
    allocate,
    chunkBytes = STREAM_CHUNK_BYTES,
  }: Omit<UploadOptions, "shape" | "rows"> = {},
): Promise<Tensor | undefined> {
  const merged = source.merged?.(name);
  if (!merged) return undefined;
  throwIfAborted(signal, `loading ${quoted(name)}`);
  const { shape } = source.info(name);
  const { dtype, base } = merged;
  const rows = shape[0]!;
  const columns = elementCount(shape) / rows;
  const changes = await merged.changes();
  const target = allocate?.(shape, dtype, label) ?? device.empty(shape, dtype, { label, pinned });
  const flat = target.reshape([rows, columns]);
  const factors = changes.map((change) => uploadFactors(device, change));
  try {
    const whole = Math.floor(chunkBytes / (4 * columns));
    const step = Math.max(ROW_STEP, whole - (whole % ROW_STEP));
    for (let start = 0; start < rows; start += step) {
      const end = Math.min(start + step, rows);
      const stored = await uploadTensor(device, base, merged.name, {
        ...{ rows: { start, end }, pinned: false },
        ...(signal ? { signal } : {}),
      });
      device.scope(() => {
        const sums = cast(device, stored.reshape([end - start, columns]), "f32");
        for (const [i, change] of changes.entries()) add(device, sums, change, factors[i]!, start, end);
        const part = flat.rows(start, end);
        device.copyBytes(dtype === "f32" ? sums : cast(device, sums, dtype), part);
        part.dispose();
      });
      stored.dispose();
      await device.boundStaging();
    }
    return target;
  } catch (error) {
    if (!allocate) target.dispose();
    throw error;
  } finally {
    flat.dispose();
    for (const tensors of factors) for (const tensor of tensors) tensor.dispose();
  }
}

/** A product's two matrices; what is added as it is comes part by part. */
function uploadFactors(device: Device, change: MatrixChange): Tensor[] {
  if (!("up" in change)) return [];
  const { up, down, rank } = change;
  return [device.upload(up, [up.length / rank, rank]), device.upload(down, [rank, down.length / rank])];
}

/** Adds what of a change lies in rows `start` to `end`, of which `sums` are the rows. */
function add(
  device: Device,
  sums: Tensor,
  change: MatrixChange,
  [up, down]: readonly Tensor[],
  start: number,
  end: number,
): void {
  const from = Math.max(start, change.firstRow);
  const to = Math.min(end, change.firstRow + change.rows);
  if (from >= to) return;
  const place = { out: from - start, from: from - change.firstRow, count: to - from };
  if (up && down) {
    addProduct(device, sums, up, down, place);
    return;
  }
  if (!("values" in change)) return;
  const columns = sums.dim(1);
  const part = change.values.subarray(place.from * columns, (place.from + place.count) * columns);
  addRows(device, sums, device.upload(part, [place.count, columns]), { ...place, from: 0 });
}
