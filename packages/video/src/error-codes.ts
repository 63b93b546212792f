// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const VIDEO_ERROR_CODES: Readonly<Record<VideoErrorCode, { readonly usage: boolean }>> = {
  /** more frames arrived than the … announced */
  FRAME_COUNT: { usage: false },
  /** frame … has … bytes, expected … (…x… RGB) */
  FRAME_SIZE: { usage: false },
  /** not a readable PNG: … */
  PNG: { usage: false },
  /** … can only be read with ffmpeg, which is not here */
  VIDEO_DECODER: { usage: false },
  /** no encoder for … (…) here; looked for: … */
  VIDEO_ENCODER: { usage: false },
  /** "…" is there already */
  VIDEO_EXISTS: { usage: true },
  /** folder "…" holds no frames */
  VIDEO_FOLDER: { usage: true },
  /** can not tell a video format from "…"… */
  VIDEO_FORMAT: { usage: true },
  /** there is no file or folder "…" */
  VIDEO_MISSING: { usage: true },
  /** video … is …, expected a positive integer */
  VIDEO_OPTIONS: { usage: true },
  /** "…" is a file, or a link that leads nowhere, not a folder */
  VIDEO_PATH: { usage: true },
  /** ffmpeg can not read it: … */
  VIDEO_READ: { usage: false },
};

export type VideoErrorCode =
  | "FRAME_COUNT"
  | "FRAME_SIZE"
  | "PNG"
  | "VIDEO_DECODER"
  | "VIDEO_ENCODER"
  | "VIDEO_EXISTS"
  | "VIDEO_FOLDER"
  | "VIDEO_FORMAT"
  | "VIDEO_MISSING"
  | "VIDEO_OPTIONS"
  | "VIDEO_PATH"
  | "VIDEO_READ";
