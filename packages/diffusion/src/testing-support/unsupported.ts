/** Why a case can not be run yet: reference data goes ahead of the program. */
import { isLvsaError } from "@lvsa/runtime";
import { isForeignReference } from "@lvsa/runtime/testing";
import type { OpenedCase } from "./reference-case.js";

/** Tensors that only loops from a picture have; no test feeds them in. */
const PICTURES = ["image_latents", "cond_latents"];

/** The reason why a loop from embeddings or token ids is left out; undefined where it runs. */
export function unsupportedLoop({ name, tensors }: OpenedCase): string | undefined {
  const picture = PICTURES.find((tensor) => tensors[tensor]);
  return picture && `${name} starts from a picture (${picture}): not among the loops that are compared`;
}

/**
 * What a model says that it does not support, for a case of another folder. The repository's own cases all run.
 * @throws whatever else `create` throws
 */
export function createOrReason<Model>(create: () => Model): Model | { readonly reason: string } {
  try {
    return create();
  } catch (error) {
    if (!isForeignReference() || !isLvsaError(error) || !/not supported/.test(error.message)) throw error;
    return { reason: error.message };
  }
}
