/**
 * `node --import @lvsa/hooks/register app.js`: every engine that the process opens later picks LVSA up, as the
 * `LVSA_*` variables say. Importing it twice changes nothing. Packages that register hooks of their own are imported
 * before or after: `--import @lvsa/hooks/register --import their-package`.
 */
import { registerPlugin } from "@lvsa/core";
import { lvsaPlugin } from "./plugin.js";
import { resolveHooks } from "./resolve-hooks.js";

// Bad variables of a process that asked for LVSA end it here, before a model is loaded.
registerPlugin(lvsaPlugin(resolveHooks()));
