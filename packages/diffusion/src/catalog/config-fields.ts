/** Building blocks of the configuration schemas. */
import * as z from "zod";

/** A size: at least 1. */
export const size = z.number().int().min(1);
/** A number that may be 0. */
export const count = z.number().int().min(0);
export const sizes = z.array(size).min(1);
/** A key that is a number or, as Python writes "not set", null. */
export const optionalSize = size.nullable().default(null);
