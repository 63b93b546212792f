/** `lvsa inspect`: what a checkpoint holds, and what is wrong with it. */
import { stat } from "node:fs/promises";
import { getKnownModel, inspectCheckpoint } from "@lvsa/diffusion/catalog";
import { nodeFolder } from "@lvsa/runtime/node";
import type { Command } from "commander";
import { EXIT } from "../exit-codes.js";
import { inspectToJson, renderInspectText } from "../inspect/render-inspect.js";
import { knownToJson, renderKnownText } from "../inspect/render-known.js";
import type { CommandIo } from "../io.js";
import { addInspectOptions, parseInspectOptions } from "../options/other-options.js";

export function inspectCommand(program: Command, io: CommandIo, exit: (code: number) => void): void {
  const command = program
    .command("inspect")
    .description("Components, parameters and problems of a checkpoint");
  addInspectOptions(command).action(async (given: string, raw: Record<string, unknown>) => {
    const { model, files, json } = parseInspectOptions({ ...raw, model: given });
    const isFolder = (await stat(model).catch(() => undefined))?.isDirectory() === true;
    if (!isFolder) {
      const known = getKnownModel(model);
      io.out(json ? `${JSON.stringify(knownToJson(known), undefined, 2)}\n` : renderKnownText(known));
      return;
    }
    const inspection = await inspectCheckpoint(nodeFolder(model));
    io.out(
      json
        ? `${JSON.stringify(inspectToJson(inspection), undefined, 2)}\n`
        : renderInspectText(inspection, { files }),
    );
    if (!inspection.ok) exit(EXIT.failed);
  });
}
