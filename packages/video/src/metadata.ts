/** What a video file says about itself. */
import { UsageError } from "@lvsa/runtime/errors";

/** Written into the file where its format has a place for it. */
export interface VideoMetadata {
  /** Shown by players; the prompt. */
  readonly title?: string | undefined;
  /** Stored as JSON in the file's comment: model, seed, sizes, attention settings. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** The settings as the comment holds them, or nothing when there are none. */
export function commentOf(metadata: VideoMetadata): string | undefined {
  return metadata.settings === undefined ? undefined : jsonOf(metadata.settings);
}

/**
 * Settings and what else describes a video as JSON; a bigint, such as a seed, as its digits.
 *
 * @throws UsageError `BAD_METADATA` for what JSON has no form for: objects that hold themselves
 */
export function jsonOf(value: unknown, indent?: number): string {
  try {
    return JSON.stringify(value, (_, one) => (typeof one === "bigint" ? String(one) : one), indent);
  } catch (cause) {
    throw new UsageError(
      "BAD_METADATA",
      "the settings can not be written as JSON: one of them holds itself",
      {
        fix: "Give texts, numbers, lists and plain objects.",
        cause,
      },
    );
  }
}

/** The title as a file can hold it: a character 0 ends texts in all formats, so it becomes U+FFFD. */
export function titleOf(metadata: VideoMetadata): string | undefined {
  return metadata.title?.replaceAll("\0", "\ufffd");
}
