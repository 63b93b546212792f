/** What rules for subgroup matrices share. */
import { type DeviceCapabilities, fixedSubgroupSize } from "../../device/device-info.js";
import { F16_16X16X16, type MatrixNeeds, type MatrixProduct } from "./matrix-tile.wgsl.js";

/**
 * Products that tiles are written for, best first, with the sizes of subgroups that they are tried with: NVIDIA's and AMD's;
 * Intel's; Apple's, whose f16 products sum in f16, so that f32 is taken.
 */
const PRODUCTS: readonly (Omit<MatrixProduct, "lanes"> & { readonly lanes: readonly number[] })[] = [
  { ...F16_16X16X16, lanes: [32, 64] },
  { component: "f16", m: 8, n: 16, k: 16, lanes: [16, 32] },
  { component: "f32", m: 8, n: 8, k: 8, lanes: [32] },
];

/** The product of `component` by subgroups that a device has tiles for, or why there is none. */
export function matrixProduct(
  c: DeviceCapabilities,
  component: MatrixProduct["component"],
): MatrixProduct | string {
  if (c.matrices.length === 0) return "the device has no subgroup matrices";
  if (component === "f16" && !c.f16) return "the device has no f16 shaders";
  const offered = PRODUCTS.filter(
    (p) =>
      p.component === component &&
      c.matrices.some(
        (o) => o.component === component && o.result === "f32" && o.m === p.m && o.n === p.n && o.k === p.k,
      ),
  );
  const known = PRODUCTS.filter((p) => p.component === component);
  const names = (list: typeof PRODUCTS) => list.map(({ m, n, k }) => `${m}x${n}x${k}`).join(" or ");
  if (offered.length === 0) return `no ${component} matrices of ${names(known)} with f32 sums`;
  const fixed = fixedSubgroupSize(c);
  for (const { lanes: sizes, ...product } of offered) {
    if (fixed !== undefined && sizes.includes(fixed)) return { ...product, lanes: fixed };
    const { subgroups } = c;
    if (!subgroups?.sizeControl) continue;
    const asked = sizes.find((size) => size >= subgroups.min && size <= subgroups.max);
    if (asked !== undefined) return { ...product, lanes: asked, asksForLanes: true };
  }
  const sizes = [...new Set(offered.flatMap(({ lanes }) => lanes))].join(" or ");
  return fixed === undefined
    ? `made for subgroups of ${sizes} lanes, and shaders can not ask for a size`
    : `made for subgroups of ${sizes} lanes`;
}

/** Whether a device has the workgroup memory and the threads. */
export function hasRoom({ limits }: DeviceCapabilities, { bytes, threads }: MatrixNeeds): boolean {
  return (
    bytes <= limits.maxComputeWorkgroupStorageSize && threads <= limits.maxComputeInvocationsPerWorkgroup
  );
}

/** Why a device can not run the smallest kernel of a product. */
export function needsProduct(
  c: DeviceCapabilities,
  component: MatrixProduct["component"],
  smallest: (product: MatrixProduct) => MatrixNeeds,
): string | undefined {
  const product = matrixProduct(c, component);
  if (typeof product === "string") return product;
  const needs = smallest(product);
  return hasRoom(c, needs)
    ? undefined
    : `takes ${needs.bytes} bytes of workgroup memory and ${needs.threads} threads, the device has ${c.limits.maxComputeWorkgroupStorageSize} and ${c.limits.maxComputeInvocationsPerWorkgroup}`;
}

/** A product that the rules above chose on this device. */
export function chosenProduct(c: DeviceCapabilities, component: MatrixProduct["component"]): MatrixProduct {
  const product = matrixProduct(c, component);
  if (typeof product === "string") throw new RangeError(product);
  return product;
}
