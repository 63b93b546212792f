/** Where a model's files are, as values that can be sent to a worker. */

/** A file's place inside of a model's folder, and how to know that it came whole. */
export interface ListedFile {
  /** Relative to the folder, with `/`. */
  readonly path: string;
  /** Bytes. */
  readonly size?: number;
  /** Of the whole file, in hexadecimal digits. */
  readonly sha256?: string;
}

export type ModelSource =
  /**
   * A diffusers folder on a server. With `keep` its files are stored in the browser and read from there, so that the model
   * works offline after the first load. `files` lists them; default: `files.json` in the folder, where the server has it.
   */
  | {
      readonly kind: "url";
      readonly url: string;
      readonly keep?: boolean;
      /** With `keep`: remove models that were used longest ago where there is no room. Default false. */
      readonly makeRoom?: boolean;
      readonly files?: readonly ListedFile[];
    }
  /**
   * Files that the user picked or dropped: nothing is copied. `files` are those of a checkpoint's folder. `parts` are single
   * files of weights (safetensors, GGUF; which component each holds is found out) and of a tokenizer: without `files` they
   * are the whole model, else they take the place of what the folder has.
   */
  | {
      readonly kind: "files";
      readonly name: string;
      readonly files: readonly PickedFile[];
      readonly parts?: readonly PickedFile[];
    }
  /**
   * A folder of the File System Access API or of the origin's private file system: a checkpoint's, or one with single
   * files of weights.
   */
  | { readonly kind: "directory"; readonly handle: FileSystemDirectoryHandle };

export interface PickedFile {
  /** Relative to the model's folder, with `/`. */
  readonly path: string;
  readonly file: File;
}

/** An address is a model that is kept in the browser. */
export function modelSource(model: string | URL | ModelSource): ModelSource {
  if (typeof model !== "string" && !(model instanceof URL)) return model;
  const url = new URL(model, globalThis.location?.href).href;
  return { kind: "url", url, keep: true };
}
