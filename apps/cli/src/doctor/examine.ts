/** Looks at Node, the `webgpu` package, every driver, the embedded adapter and optional packages. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism, totalmem } from "node:os";
import { CORE_KERNELS } from "@lvsa/core";
import {
  type DeviceInfo,
  deviceLabel,
  type ExplainedUse,
  explainKernels,
  isLvsaError,
  type KernelMath,
  RUNTIME_KERNELS,
} from "@lvsa/runtime";
import {
  createDevice,
  type LookForDrivers,
  listAdapters,
  listPciCards,
  type PciCard,
} from "@lvsa/runtime/node";
import { describeError } from "../exit-codes.js";
import { formatBytes } from "../output/units.js";
import { VERSION } from "../version.js";

export interface AdapterExamination {
  /** What `--device` takes. */
  readonly name: string;
  readonly backend: string;
  readonly ok: boolean;
  readonly math?: KernelMath;
  /** The rule that typical uses of each operation take, and why others before it do not run. */
  readonly kernels?: readonly ExplainedUse[];
  readonly info?: DeviceInfo;
  readonly error?: string;
}

export interface PackageExamination {
  readonly name: string;
  readonly version: string | null;
  /** What it is for. */
  readonly purpose: string;
  readonly fix?: string;
}

export interface Problem {
  readonly message: string;
  readonly fix: string;
}

export interface Examination {
  /** Some adapter works. */
  readonly ok: boolean;
  readonly version: string;
  readonly node: { readonly version: string; readonly ok: boolean; readonly platform: string };
  readonly processors: number;
  readonly memory_bytes: number;
  readonly adapters: readonly AdapterExamination[];
  /** Graphics cards by PCI address: what `--device` takes where several have one name. */
  readonly cards: readonly PciCard[];
  /** What `--device auto` takes. */
  readonly chosen: string | null;
  readonly packages: readonly PackageExamination[];
  readonly problems: readonly Problem[];
}

const OPTIONAL = [
  {
    name: "@libav.js/variant-webm-vp9",
    purpose: "WebM (VP9) output",
    fix: "npm install @libav.js/variant-webm-vp9@6.10.9",
  },
  {
    name: "@napi-rs/webcodecs",
    purpose: "faster MP4 and WebM output",
    fix: "npm install @napi-rs/webcodecs@1.3.1 (contains GPL code)",
  },
] as const;

export async function examine(look?: LookForDrivers): Promise<Examination> {
  const problems: Problem[] = [];
  const node = {
    version: process.versions.node,
    ok: nodeIsNewEnough(),
    platform: `${process.platform} ${process.arch}`,
  };
  if (!node.ok)
    problems.push({ message: `node ${node.version} is too old`, fix: "Install node 20.19 or newer." });

  const webgpu = await versionOf("webgpu");
  const adapters: AdapterExamination[] = [];
  try {
    for (const { name, backend } of await listAdapters(undefined, look))
      adapters.push(await openAdapter(name, backend, look));
  } catch (error) {
    if (!isLvsaError(error)) throw error;
    problems.push({ message: error.message, fix: error.fix ?? "" });
  }
  const drivers = adapters.filter(({ ok }) => ok);
  // Last: once it is there, the process sees no other driver.
  const embedded = webgpu === null ? undefined : await openAdapter("embedded", "vulkan", look);
  if (embedded) adapters.push(embedded);
  if (drivers.every(({ info }) => info?.hardware === "software")) {
    problems.push({
      message:
        drivers.length > 0
          ? "only software drivers were found: everything works, slowly"
          : "no GPU driver was found",
      fix: "Install the GPU's own driver with Vulkan (Linux), or use a machine with a GPU. Linux without GPU: mesa-vulkan-drivers 25.0 or newer is the fastest software driver.",
    });
  }
  const chosen = drivers[0] ?? (embedded?.ok ? embedded : undefined);
  if (!chosen)
    problems.push({
      message: "nothing here can run WebGPU",
      fix: "Install a Vulkan driver (for example mesa-vulkan-drivers).",
    });

  const packages: PackageExamination[] = [
    {
      name: "webgpu",
      version: webgpu,
      purpose: "WebGPU in Node (Dawn)",
      ...(webgpu ? {} : { fix: "npm install webgpu" }),
    },
    {
      name: "@lvsa/software-adapter",
      version: await versionOf("@lvsa/software-adapter"),
      purpose: "software driver for machines without any (Linux x64)",
    },
  ];
  for (const { fix, ...one } of OPTIONAL) {
    const version = await versionOf(one.name);
    packages.push({ ...one, version, ...(version ? {} : { fix }) });
  }
  return {
    ok: chosen !== undefined && node.ok,
    version: VERSION,
    node,
    processors: availableParallelism(),
    memory_bytes: totalmem(),
    adapters,
    cards: await listPciCards(),
    chosen: chosen?.name ?? null,
    packages,
    problems,
  };
}

async function openAdapter(
  name: string,
  backend: string,
  look: LookForDrivers | undefined,
): Promise<AdapterExamination> {
  try {
    const device = await createDevice({
      adapter: name,
      softwareAdapter: () => import("@lvsa/software-adapter"),
      lookForDrivers: look,
    });
    const { info, math } = device;
    device.dispose();
    const kernels = explainKernels([...RUNTIME_KERNELS, ...CORE_KERNELS], info, { math });
    return { name, backend, ok: true, math, kernels, info };
  } catch (error) {
    return { name, backend, ok: false, error: describeError(error) };
  }
}

function nodeIsNewEnough(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > 20 || (major === 20 && minor >= 19);
}

/** From the package.json of an installed package; null where it is missing. */
async function versionOf(name: string): Promise<string | null> {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const { version } = JSON.parse(await readFile(`${folder}/${name}/package.json`, "utf8")) as {
        version: string;
      };
      return version;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** For people; ends with a newline. */
export function renderExamination(found: Examination): string {
  const lines = [
    `lvsa ${found.version}`,
    `${mark(found.node.ok)} node ${found.node.version} on ${found.node.platform}, ${found.processors} processors, ${formatBytes(found.memory_bytes)} of memory`,
  ];
  for (const { name, version, purpose, fix } of found.packages) {
    lines.push(
      `${version ? "+" : "-"} ${name} ${version ?? "not installed"}: ${purpose}${fix ? `. To get it: ${fix}` : ""}`,
    );
  }
  lines.push("+ ffmpeg is not needed", "", "Adapters:");
  for (const adapter of found.adapters) lines.push(...adapterLines(adapter, adapter.name === found.chosen));
  if (found.adapters.length === 0) lines.push("  none");
  lines.push("");
  if (found.cards.length > 1) {
    lines.push(
      "Cards (several of one name: give the address to --device, or one for each rank to --devices):",
    );
    for (const { address, vendor, device } of found.cards)
      lines.push(`  pci:${address}  ${vendor}:${device}`);
    lines.push("");
  }
  for (const { message, fix } of found.problems)
    lines.push(`! ${message}`, ...(fix ? [`  Fix: ${fix}`] : []));
  lines.push(found.ok ? `Ready: --device auto takes "${found.chosen}".` : "Not ready.");
  return `${lines.join("\n")}\n`;
}

function adapterLines(
  { name, backend, ok, math, kernels, info, error }: AdapterExamination,
  isChosen: boolean,
): string[] {
  const head = `${mark(ok)} ${name} (${backend})${isChosen ? "  <- --device auto" : ""}`;
  if (!info) return [head, ...(error ?? "").split("\n").map((line) => `    ${line}`)];
  const { limits } = info;
  return [
    head,
    `    ${deviceLabel(info)}`,
    `    math: ${math}; features: ${info.features.filter((f) => f !== "core-features-and-limits").join(", ") || "none"}`,
    `    largest buffer ${formatBytes(limits.maxBufferSize)}, binding ${formatBytes(limits.maxStorageBufferBindingSize)}; ` +
      `workgroup ${limits.maxComputeInvocationsPerWorkgroup} invocations, ${formatBytes(limits.maxComputeWorkgroupStorageSize)}; ` +
      `${limits.maxStorageBuffersPerShaderStage} storage buffers${subgroupText(info)}`,
    ...(info.matrices.length > 0
      ? [`    subgroup matrices: ${info.matrices.map(matrixText).join(", ")}`]
      : []),
    ...(kernels ?? []).flatMap(({ family, use, rule, rejected }) => [
      `    ${family}, ${use}: ${rule}`,
      ...rejected.map((other) => `      not ${other.rule}: ${other.reason}`),
    ]),
  ];
}

function subgroupText({ subgroups }: DeviceInfo): string {
  if (!subgroups) return "";
  const { min, max, sizeControl } = subgroups;
  return `; subgroups of ${min === max ? min : `${min} to ${max}${sizeControl ? ", as shaders ask" : ""}`}`;
}

/** `f16->f32 16x16x16`: operands, sums, rows by columns by depth. */
function matrixText({ component, result, m, n, k }: DeviceInfo["matrices"][number]): string {
  return `${component}->${result} ${m}x${n}x${k}`;
}

function mark(ok: boolean): string {
  return ok ? "+" : "!";
}
