/** Checks what commander has read (all texts and flags) against a zod schema. */
import * as z from "zod";
import { UsageError } from "../exit-codes.js";

/** `--num-frames` from `numFrames`, `--guidance-2` from `guidance2`. */
export function optionName(field: string): string {
  return `--${field.replace(/[A-Z]|\d+/g, (part) => `-${part.toLowerCase()}`)}`;
}

/** @throws UsageError that names every bad option */
export function parseOptions<Schema extends z.ZodType>(schema: Schema, raw: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const values = (raw ?? {}) as Record<string, unknown>;
  const problems = parsed.error.issues.map((issue) => {
    const field = String(issue.path[0] ?? "");
    if (!field) return issue.message;
    const given = values[field];
    return `${optionName(field)}: ${issue.message}${given === undefined ? "" : `, got "${String(given)}"`}`;
  });
  throw new UsageError(problems.join("\n"));
}

/** A decimal whole number of at least `min`. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  const expected = `expected a whole number of at least ${min}`;
  return z
    .string()
    .regex(/^[+-]?\d+$/, expected)
    .transform(Number)
    .refine(
      (n) => n >= min && n <= max,
      expected + (max < Number.MAX_SAFE_INTEGER ? ` and at most ${max}` : ""),
    );
}

/** A decimal number of at least `min` (or above it). */
export function decimalNumber(min: number, bound: "from" | "above" = "from") {
  const expected = `expected a number ${bound === "from" ? `of at least ${min}` : `above ${min}`}`;
  return z
    .string()
    .regex(/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/, expected)
    .transform(Number)
    .refine((n) => Number.isFinite(n) && (bound === "from" ? n >= min : n > min), expected);
}
