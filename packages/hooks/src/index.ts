export * from "./backend.js";
export { type Environment, processEnvironment, type SettingSource } from "./env.js";
export {
  CONFIG_VARIABLE,
  type HookSettings,
  hookSettingsSchema,
  SETTINGS,
  type SettingName,
  type VariableInfo,
} from "./env-schema.js";
export * from "./env-table.js";
export * from "./error-codes.js";
export * from "./foreign-hook.js";
export * from "./geometry.js";
export * from "./hook-definition.js";
export * from "./hook-events.js";
export { listHooks, registerHook } from "./hook-list.js";
export type { ModelFacts } from "./lvsa-settings.js";
export * from "./mask-log.js";
export { lvsaPlugin, PLUGIN_NAME, plugin } from "./plugin.js";
export * from "./resolve-hooks.js";
export * from "./serve-arguments.js";
export * from "./sparse-attention.js";
export * from "./step-tracker.js";
export { VERSION } from "./version.js";
