/** Checks what commander has read (all texts and flags) against a zod schema. */
import * as z from "zod";
import { UsageError } from "../exit-codes.js";

/** `--num-frames` from `numFrames`, `--guidance-2` from `guidance2`; the number of `mp4` is part of its word. */
export function optionName(field: string): string {
  return `--${field.replace(/[A-Z]|(?<!^mp)\d+/g, (part) => `-${part.toLowerCase()}`)}`;
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

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  ...{ kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/** An amount of memory in bytes: `8GiB` (2^30 bytes each), `8GB` (10^9), `500MB`, `8000000000`. */
export function byteSize() {
  return z
    .string()
    .transform((text) => {
      const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([KMGT]i?B|)$/i.exec(text.trim()) ?? [];
      return digits === undefined ? Number.NaN : Math.floor(Number(digits) * UNITS[unit!.toLowerCase()]!);
    })
    .refine((bytes) => bytes >= 1 && Number.isSafeInteger(bytes), "expected an amount such as 8GiB or 500MB");
}
