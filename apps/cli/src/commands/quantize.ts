/** `lvsa quantize`: a checkpoint folder with its transformers and encoders in fewer bits. */
import { cp, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, join, relative, resolve, sep } from "node:path";
import { openQuantizable, type QuantizedFormat, quantizableComponents } from "@lvsa/diffusion/catalog";
import { nodeFolder } from "@lvsa/runtime/node";
import type { Command } from "commander";
import * as z from "zod";
import { UsageError } from "../exit-codes.js";
import { ProgressMeter } from "../generate/progress-meter.js";
import type { CommandIo } from "../io.js";
import { parseOptions } from "../options/parse-options.js";
import { formatBytes } from "../output/units.js";

const schema = z.object({
  folder: z.string().min(1, "expected a folder"),
  to: z.enum(["q8_0", "q4_K", "fp8"], "expected q8_0, q4_K or fp8"),
  output: z.string().min(1, "expected a path").optional(),
  components: z
    .string()
    .transform((text) => text.split(","))
    .optional(),
});

export function quantizeCommand(program: Command, io: CommandIo): void {
  program
    .command("quantize")
    .description("Write a checkpoint folder with its transformers and encoders in fewer bits")
    .argument("<folder>", "checkpoint in the diffusers folder format")
    .option("--to <format>", "q8_0, q4_K (GGUF), or fp8 (safetensors, a scale per row)")
    .option("--output <folder>", "new folder (default: <folder>-<format> in this directory)")
    .option("--components <names>", "only these, with commas (default: transformers and encoders)")
    .addHelpText(
      "after",
      `
Example:
  lvsa quantize ./Wan2.1-T2V-1.3B-Diffusers --to q8_0`,
    )
    .action(async (folder: string, raw: Record<string, unknown>) => {
      await quantize(parseOptions(schema, { ...raw, folder }), io);
    });
}

async function quantize(
  { folder: given, to, output, components }: z.infer<typeof schema>,
  io: CommandIo,
): Promise<void> {
  const from = resolve(given);
  const target = resolve(output ?? `${basename(from)}-${to}`);
  if (await stat(target).catch(() => undefined)) {
    throw new UsageError(`${target} is there already`, "Give another --output.");
  }
  const folder = nodeFolder(from);
  const possible = await quantizableComponents(folder);
  const unknown = components?.find((name) => !possible.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`${unknown} can not be quantized`, `Components are ${possible.join(", ")}.`);
  }
  const chosen = components ?? possible;
  // Written beside its place, and renamed when it is whole.
  const partial = `${target}.partial`;
  const meter = new ProgressMeter({ write: io.redraw, isTerminal: io.isTerminal });
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  try {
    await cp(from, partial, {
      recursive: true,
      dereference: true,
      filter: (path) => !isReplaced(relative(from, path), chosen),
    });
    for (const name of chosen) await component(name, to);
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
  io.out(`${target}\n`);

  async function component(name: string, format: QuantizedFormat): Promise<void> {
    const opened = await openQuantizable(folder, name, format);
    try {
      const path = join(partial, name, opened.fileName);
      await mkdir(join(partial, name), { recursive: true });
      const file = await open(path, "wx");
      try {
        await opened.file.write(
          async (bytes, at) => {
            for (let done = 0; done < bytes.length; ) {
              done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
            }
          },
          { onProgress: (done, total) => meter.show(`${name}: ${done}/${total} tensors`) },
        );
      } finally {
        await file.close();
      }
      const { quantized, byteLength } = opened.file;
      meter.clear();
      io.err(
        `${name}: ${quantized.length} matrices in ${format}, ${formatBytes(opened.storedBytes)} -> ${formatBytes(byteLength)}\n`,
      );
    } finally {
      meter.clear();
      await opened.close();
    }
  }
}

/** Weights of a component that is written anew. */
function isReplaced(path: string, components: readonly string[]): boolean {
  const [component = "", ...rest] = path.split(sep);
  return (
    components.includes(component) &&
    rest.length === 1 &&
    /\.(safetensors|gguf|bin|pt|pth)$|\.index(\.\w+)?\.json$/.test(rest[0]!)
  );
}
