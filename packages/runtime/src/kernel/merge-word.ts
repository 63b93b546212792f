/** Part of one 32-bit word: what copies and writes of bytes can not do alone, because they move whole words. */
import { defineKernel } from "./kernel.js";
import { computeMain } from "./wgsl-threads.js";

/** `to` takes the bits of `from` that `mask` has, and keeps its others. */
export const mergeWordKernel = defineKernel({
  inBounds: true,
  name: "merge-word",
  key: "",
  bindings: [
    { name: "source", type: "array<u32>", access: "read" },
    { name: "result", type: "array<u32>", access: "read_write" },
  ],
  params: { mask: "u32" },
  body: () =>
    computeMain(
      1,
      /* wgsl */ `
  if (workgroup > 0u) { return; }
  result[0] = (source[0] & params.mask) | (result[0] & ~params.mask);`,
    ),
});
