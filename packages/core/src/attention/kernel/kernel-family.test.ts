/** The attention's rules: their shaders compile for the devices that would run them, and keys tell texts apart. */
import { describeKernelFamilies } from "@lvsa/runtime/testing/kernel-family-suite";
import { CORE_KERNELS } from "./kernel-family.js";

const dtypes = ["f32", "f16", "bf16"] as const;

describeKernelFamilies(CORE_KERNELS, {
  attention: [
    ...[32, 40, 48, 64, 80, 96, 104, 112, 128].flatMap((headDim) =>
      dtypes.map((dtype) => ({
        name: `${dtype}, heads of ${headDim}`,
        shape: {
          headDim,
          query: dtype,
          key: dtype,
          value: dtype,
          output: dtype,
          context: undefined,
          rows: headDim % 32 === 0,
          causal: false,
          relativeBias: false,
          logSumExp: headDim % 48 === 0,
        },
        size: { queries: 4096, keys: 4096 },
      })),
    ),
    {
      name: "every binding",
      shape: {
        headDim: 128,
        query: "f32",
        key: "bf16",
        value: "f16",
        output: "f32",
        context: { key: "bf16", value: "f32" },
        rows: true,
        causal: false,
        relativeBias: false,
        logSumExp: true,
      },
      size: { queries: 4096, keys: 4096 },
    },
  ],
});
