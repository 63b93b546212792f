/** The preview that was asked for, on the terminal that there is. */
import type { VideoPipeline } from "@lvsa/diffusion";
import type { RunReporter } from "../generate/reporter.js";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { type PreviewWriter, pngPreview, terminalPreview } from "./preview-writer.js";
import { colourDepth, terminalGraphics } from "./terminal-graphics.js";

/** @param output absolute path that the file is called after */
export async function openPreview(
  kind: GenerateCommandOptions["preview"],
  pipeline: Pick<VideoPipeline, "latentPreview">,
  output: string,
  reporter: RunReporter,
): Promise<PreviewWriter | undefined> {
  if (kind === undefined) return undefined;
  const { stderr, stdin, env } = process;
  if (kind === "terminal" && stderr.isTTY !== true) {
    reporter.notice(
      "note: --preview terminal had no effect: standard error is no terminal (--preview png writes a file).",
    );
    return undefined;
  }
  const preview = await pipeline.latentPreview();
  if (!preview.colours) {
    reporter.notice(
      "note: the preview has false colours: the checkpoint states none (latent_rgb in its lvsa.json).",
    );
  }
  if (kind === "png") {
    const path = `${output}.preview.png`;
    reporter.notice(`Previews: ${path}`);
    return pngPreview(preview, path, (line) => reporter.notice(line));
  }
  const graphics = await terminalGraphics(env, stdin, (query) => void stderr.write(query));
  return terminalPreview(preview, reporter, {
    ...{ graphics, depth: colourDepth(env) },
    columns: () => stderr.columns,
  });
}
