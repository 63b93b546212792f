/**
 * `node --import @lvsa/hooks/register app.js`: every engine that the process opens later picks LVSA up, as the
 * `LVSA_*` variables say. Importing it twice changes nothing.
 */
import { registerPlugin } from "@lvsa/core";
import { hooksRequested, plugin } from "./plugin.js";

// Bad variables of a process that asked for LVSA end it here, before a model is loaded.
hooksRequested();
registerPlugin(plugin);
