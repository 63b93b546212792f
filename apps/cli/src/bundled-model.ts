/** The checkpoint that ships with this package, in `models` beside `src` and `dist`. Its weights are random. */
import { fileURLToPath } from "node:url";

export const BUNDLED_MODEL = fileURLToPath(new URL("../models/tiny-wan", import.meta.url));
