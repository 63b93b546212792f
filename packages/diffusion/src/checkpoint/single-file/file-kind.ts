/** What kinds of files there are: whose tensors a file holds, under which names, and what their shapes tell. */
import type { Arrangement } from "@lvsa/runtime";
import type { TensorShapes } from "../../models/definition/define-model.js";
import type { ResolvedConfig } from "../../models/definition/resolved-config.js";

/** Where a pipeline's folder keeps it. */
export type ComponentRole = "transformer" | "vae" | "text_encoder" | "image_encoder";

/** A tensor's name in the class, with what of the file's tensor it is. */
export type Target = { readonly name: string } & Omit<Arrangement, "from">;

export interface FileKind {
  /** For messages, e.g. `Wan transformer, original names`. */
  readonly title: string;
  readonly role: ComponentRole;
  /** diffusers' or transformers' class. */
  readonly className: string;
  /** Tensors that every file of the kind has, and no file of another kind has all of. */
  readonly marks: readonly string[];
  /**
   * What the tensor of that name becomes; undefined for one that the kind does not know. Absent where the names are
   * those of the class.
   */
  readonly rename?: (shapes: TensorShapes) => (name: string) => readonly Target[] | undefined;
  /** Configuration of the class, read off the shapes of its tensors. What no shape shows has the class's default. */
  readonly config: (shapes: TensorShapes) => ResolvedConfig;
}

/** A rule for names: the first that matches decides, and `undefined` instead of a replacement leaves a tensor out. */
export type NameRule = readonly [pattern: RegExp, replacement: string | undefined];

/** Names by rules; each matches from the start. */
export function renameBy(rules: readonly NameRule[]): (name: string) => readonly Target[] | undefined {
  return (name) => {
    for (const [pattern, replacement] of rules) {
      if (!pattern.test(name)) continue;
      return replacement === undefined ? [] : [{ name: name.replace(pattern, replacement) }];
    }
    return undefined;
  };
}

/** Size of an axis of a tensor that every file of the kind has; 0 where there is none, which no class accepts. */
export function axis(shapes: TensorShapes, name: string, index: number): number {
  return shapes.get(name)?.[index] ?? 0;
}

/** One more than the largest number at the place of `#` in names such as `blocks.#.norm.weight`. */
export function countLayers(shapes: TensorShapes, pattern: string): number {
  const [front = "", back = ""] = pattern.split("#");
  let count = 0;
  for (const name of shapes.keys()) {
    if (!name.startsWith(front)) continue;
    const digits = /^\d+/.exec(name.slice(front.length))?.[0];
    if (digits !== undefined && name.slice(front.length + digits.length).startsWith(back))
      count = Math.max(count, Number(digits) + 1);
  }
  return count;
}

/** Three parts of a fused projection. */
export function queryKeyValue(names: readonly [string, string, string]): readonly Target[] {
  return names.map((name, part) => ({ name, parts: { of: 3, take: [part] } }));
}
