/** Whether a file holds a LoRA and not a model: by the names of its tensors, whatever the file is called. */

const SAFETENSORS = /\.(safetensors|sft)$/i;
/** Of factors, in the forms that tools write; kohya's begin with it. Which of them can be read is said by the reader. */
const FACTOR = /(^|[._])(lora|lokr|hada)_/i;
/** Files that only add tensors. */
const ADDED = /\.diff(_b|_m)?$/;
/** Headers of models with thousands of tensors are below a megabyte. */
const MAX_HEADER_BYTES = 64 * 1024 * 1024;

/** False for what can not be read: that is said when it is opened as a model. */
export async function isLoraFile(file: File): Promise<boolean> {
  if (!SAFETENSORS.test(file.name) || file.size < 8) return false;
  const length = new DataView(await file.slice(0, 8).arrayBuffer()).getBigUint64(0, true);
  if (length > BigInt(Math.min(MAX_HEADER_BYTES, file.size - 8))) return false;
  let header: unknown;
  try {
    header = JSON.parse(await file.slice(8, 8 + Number(length)).text());
  } catch {
    return false;
  }
  const names = Object.keys(header ?? {}).filter((name) => name !== "__metadata__");
  return (
    names.some((name) => FACTOR.test(name)) || (names.length > 0 && names.every((name) => ADDED.test(name)))
  );
}
