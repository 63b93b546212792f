/** Entry `@lvsa/runtime/errors`: the errors of all packages, and what checks the options of a call without a schema. */
export * from "./lvsa-error.js";
export {
  badOptions,
  checkOptionKinds,
  type OptionKind,
  type OptionKinds,
  unknownOption,
} from "./option-kinds.js";
export { pause } from "./pause.js";
export { printable, quoted } from "./printable.js";
