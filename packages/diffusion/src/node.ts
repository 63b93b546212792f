/** Entry `@lvsa/diffusion/node`: what every program in Node needs besides, so that it can do without `@lvsa/runtime`. */
export { createDevice, type NodeDeviceOptions, nodeFolder } from "@lvsa/runtime/node";
