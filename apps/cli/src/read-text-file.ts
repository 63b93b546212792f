/** Small files of text that a user names: prompts, settings. */
import { ConfigError } from "@lvsa/runtime";
import { fileSource } from "@lvsa/runtime/node";

const MOST_BYTES = 16 * 2 ** 20;

/**
 * UTF-8 text of a file. A pipe would be waited for, and a device read, for ever: both are refused.
 *
 * @throws WeightsError `NOT_FOUND`, `NOT_A_FILE`, `READ_FAILED`; ConfigError `TOO_LARGE`; TypeError for bytes that are no text
 */
export async function readTextFile(path: string): Promise<string> {
  const source = await fileSource(path);
  try {
    if (source.size > MOST_BYTES) {
      throw new ConfigError(
        "TOO_LARGE",
        `the file has ${source.size} bytes, at most ${MOST_BYTES} are read.`,
        {
          where: path,
          fix: "Give a smaller file.",
        },
      );
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(await source.read(0, source.size));
  } finally {
    await source.close();
  }
}
