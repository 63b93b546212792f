/** What a video file says about itself. */

/** Written into the file where its format has a place for it. */
export interface VideoMetadata {
  /** Shown by players; the prompt. */
  readonly title?: string | undefined;
  /** Stored as JSON in the file's comment: model, seed, sizes, attention settings. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** The settings as the comment holds them, or nothing when there are none. */
export function commentOf(metadata: VideoMetadata): string | undefined {
  return metadata.settings === undefined ? undefined : JSON.stringify(metadata.settings);
}

/** The title as a file can hold it: a character 0 ends texts in all formats, so it becomes U+FFFD. */
export function titleOf(metadata: VideoMetadata): string | undefined {
  return metadata.title?.replaceAll("\0", "\ufffd");
}
