/** What a file is that is none of ours: by how it begins, since names are often wrong. */

export interface OtherFormat {
  /** As in "this is …". */
  readonly what: string;
  readonly fix: string;
}

const GIVE_WEIGHTS = "Give a file of weights.";
const UNPACK = "Unpack it, and give what is inside.";
const NOT_READ = "Convert it to safetensors: pickles hold code and are not read.";

/** Beginnings, a character for each byte. */
const BEGINNINGS: readonly (readonly [starts: readonly string[], what: string, fix: string])[] = [
  [["version "], "a Git LFS pointer", "Run `git lfs pull`: the file itself was not downloaded."],
  [
    ["<!", "<html", "<HTML", "<head", "<?xml"],
    "a web page",
    "Download the file itself, not the page about it.",
  ],
  [["GGUF"], "a GGUF file", "Give it under a name that ends in .gguf, as the file of its component."],
  [["FUGG"], "a GGUF file in big endian", "Write the file again with a current tool, little endian."],
  [
    ["lmgg", "fmgg", "tjgg", "algg"],
    "a file of ggml from before GGUF",
    "Convert it to GGUF or safetensors, from the weights that it was made of.",
  ],
  [["PK\x03\x04", "\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"], "one of PyTorch's pickles", NOT_READ],
  [["{", "["], "a text in JSON", "Give the file of the weights, or the folder that holds them."],
  [["\x89PNG", "GIF8", "\xff\xd8\xff", "RIFF", "\x1aE\xdf\xa3"], "a picture or a video", GIVE_WEIGHTS],
  [["\x1f\x8b", "7z\xbc\xaf", "Rar!", "(\xb5/\xfd", "\xfd7zXZ"], "an archive", UNPACK],
];

/** @param start the first bytes of a file, 8 or so */
export function otherFormat(start: Uint8Array): OtherFormat | undefined {
  const text = String.fromCharCode(...start);
  // The size of the first box stands before its name.
  if (text.slice(4, 8) === "ftyp") return { what: "a picture or a video", fix: GIVE_WEIGHTS };
  const found = BEGINNINGS.find(([starts]) => starts.some((one) => text.trimStart().startsWith(one)));
  return found && { what: found[1], fix: found[2] };
}
