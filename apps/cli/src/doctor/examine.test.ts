/** What `lvsa doctor` says of one adapter. */
import { CORE_KERNELS } from "@lvsa/core";
import { explainKernels, RUNTIME_KERNELS } from "@lvsa/runtime";
import { PRETEND_DEVICES } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { type Examination, renderExamination } from "./examine.js";

function render(name: string, cards: Examination["cards"] = [], math: "exact" | "fast" = "exact"): string {
  const device = PRETEND_DEVICES[name]!;
  const info = {
    ...device,
    vendor: "",
    architecture: "",
    device: "",
    description: name,
    features: ["subgroups"],
  };
  const kernels = explainKernels([...RUNTIME_KERNELS, ...CORE_KERNELS], info, { math });
  const examination: Examination = {
    ok: true,
    version: "1",
    node: { version: "22", ok: true, platform: "linux" },
    processors: 1,
    memory_bytes: 1,
    adapters: [{ name, backend: "vulkan", ok: true, math, kernels, info }],
    cards,
    chosen: name,
    packages: [],
    problems: [],
  };
  return renderExamination(examination);
}

it("names the kernel of each operation, and why those before it do not run", () => {
  const text = render("core");
  expect(text).toContain("    linear, 1 row: gemv\n");
  expect(text).toMatch(
    / {4}linear, many rows, f16: tile\n( {6}not [\w-]+: .+\n)* {6}not tile-f16: the device has no f16 shaders\n/,
  );
  expect(text).toContain("math: exact");
});

it("lists cards by address where there are several", () => {
  const card = { address: "0000:3b:00.0", vendor: "10de", device: "2335" };
  expect(render("nvidia", [card, { ...card, address: "0000:af:00.0" }])).toContain(
    "  pci:0000:3b:00.0  10de:2335\n  pci:0000:af:00.0  10de:2335\n",
  );
  expect(render("nvidia", [card])).not.toContain("pci:");
});

it("lists subgroups and matrices", () => {
  expect(render("nvidia")).toContain("subgroups of 32\n    subgroup matrices: f16->f32 16x16x16,");
  expect(render("intel")).toContain("subgroups of 8 to 32, as shaders ask\n");
  expect(render("intel, no choice of size")).toContain("subgroups of 8 to 32\n");
  expect(render("apple")).toMatch(
    /linear, many rows, f16: matrix-f32\n {6}not gemv: .*\n {6}not matrix-f16: no f16 matrices/,
  );
  expect(render("apple")).toMatch(
    /attention, dense, heads of 128, f16: matrix-f32\n {6}not matrix-f16: no f16 matrices of 16x16x16 or 8x16x16/,
  );
  for (const name of ["nvidia", "amd", "intel"]) {
    expect(render(name, [], "fast")).toContain("    attention, frames, heads of 128, f32: matrix-f16\n");
  }
  expect(render("intel, no choice of size", [], "fast")).toMatch(
    /attention, dense, heads of 128, f16: tile-f16\n {6}not matrix-f16: made for subgroups of 16 or 32 lanes, and shaders can not ask/,
  );
});
