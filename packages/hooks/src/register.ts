/**
 * `node --import @lvsa/hooks/register app.js`: every engine that the process opens later picks LVSA up, as the
 * `LVSA_*` variables say. Importing it twice changes nothing.
 */
import type { EnginePlugin } from "@lvsa/diffusion";
import { hooksRequested, plugin } from "./plugin.js";

/** Where `@lvsa/diffusion` keeps plugins of the process; the same symbol in all copies of both packages. */
const REGISTRY = Symbol.for("lvsa.engine-plugins");

// Bad variables of a process that asked for LVSA end it here, before a model is loaded.
hooksRequested();
const holder = globalThis as { [REGISTRY]?: Map<string, EnginePlugin> };
holder[REGISTRY] ??= new Map();
holder[REGISTRY].set(plugin.name, plugin);
