/** Under a strict content security policy zod's faster way would be a violation that is reported. */
import * as z from "zod";

z.config({ jitless: true });
