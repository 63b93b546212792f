/** Step 5: `LVSA_RIPPLE_HOOK=1` switches LVSA on, where this hook is registered or in `lvsaPlugin({ hooks: [rippleHook] })`. */
import { defineAdapterHook } from "@lvsa/hooks";

export const rippleHook = defineAdapterHook({
  family: "ripple",
  variable: "LVSA_RIPPLE_HOOK",
  // What people install; named when it is missing.
  packageName: "lvsa-ripple",
  // From here, because a package manager may hide this package from `@lvsa/hooks`. Loaded when the hook is on.
  load: () => import("./ripple-adapter.js"),
  create: "createRippleAdapter",
  layer: "RippleAttention",
  about: "Sparse self attention in Ripple.",
});
