/** Errors on their way from the worker to the page. */
import { AbortError, isLvsaError, LvsaError } from "@lvsa/runtime/errors";
import type { SentError } from "./protocol.js";

export function toSent(error: unknown): SentError {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  if (!isLvsaError(error)) {
    return { name, code: "FAILED", message, fix: undefined, where: undefined, fault: "run", stack };
  }
  const { code, fix, where, fault } = error;
  return { name, code, message, fix, where, fault, stack };
}

/** The same error as the worker threw, also to `instanceof LvsaError` and, for one that was stopped, `AbortError`. */
export function fromSent({ name, code, message, stack, fix, where, fault }: SentError): LvsaError {
  const details = {
    fault,
    ...(fix === undefined ? {} : { fix }),
    ...(where === undefined ? {} : { where }),
  };
  const error =
    code === "ABORTED" ? new AbortError(code, message, details) : new LvsaError(code, message, details);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}
