// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const VIDEO_ERROR_CODES: Readonly<
  Record<VideoErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** the settings can not be written as JSON: one of them holds itself */
  BAD_METADATA: { fault: "usage" },
  /** more frames arrived than the … announced */
  FRAME_COUNT: { fault: "run" },
  /** frame … has … bytes, expected … (…x… RGB) */
  FRAME_SIZE: { fault: "run" },
  /** not a readable PNG: … */
  PNG: { fault: "input" },
  /** … can only be read with ffmpeg, which is not here */
  VIDEO_DECODER: { fault: "input" },
  /** no encoder for … (…) here; looked for: … */
  VIDEO_ENCODER: { fault: "input" },
  /** "…" is there already */
  VIDEO_EXISTS: { fault: "usage" },
  /** folder "…" holds no frames */
  VIDEO_FOLDER: { fault: "usage" },
  /** can not tell a video format from "…"… */
  VIDEO_FORMAT: { fault: "usage" },
  /** there is no file or folder "…" */
  VIDEO_MISSING: { fault: "usage" },
  /** video … is …, expected a positive integer */
  VIDEO_OPTIONS: { fault: "usage" },
  /** "…" is a file, or a link that leads nowhere, not a folder */
  VIDEO_PATH: { fault: "usage" },
  /** ffmpeg can not read it: … */
  VIDEO_READ: { fault: "input" },
};

export type VideoErrorCode =
  | "BAD_METADATA"
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
