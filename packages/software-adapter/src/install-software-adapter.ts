/**
 * The embedded software Vulkan driver (SwiftShader, with the Vulkan loader), for Linux x64 machines that have
 * neither. It works with the `webgpu` package in Node, Deno and Bun. Exact use:
 *
 * ```ts
 * import { create } from "webgpu";
 * let gpu = create([]);
 * let adapter = await gpu.requestAdapter();
 * if (!adapter) {
 *   const { installSoftwareAdapter } = await import("@lvsa/software-adapter");
 *   await installSoftwareAdapter();
 *   gpu = create([]); // a new one: the first object never finds the driver
 *   adapter = await gpu.requestAdapter(); // adapter.info.architecture === "swiftshader"
 * }
 * ```
 *
 * From then on the whole process sees only this driver, so ask for a real adapter first. To be sure of the
 * choice, `create(["adapter=SwiftShader"])` picks it by name. Call it in the main thread: a worker's
 * `process.env` is a copy that the Vulkan loader does not see.
 *
 * Limits: no shader-f16, subgroups of 4, 256 invocations and 32 KiB of memory per workgroup, 1 GiB buffers.
 */
import { constants } from "node:os";
import { join } from "node:path";
import { findDriverArchive, readDriverArchive } from "./archive.js";
import { allPresent, cacheFolders, usableFolder, writeFiles } from "./cache-folder.js";
import { SoftwareAdapterError } from "./error.js";

const DRIVER = "libvk_swiftshader.so";
const MANIFEST = "vk_swiftshader_icd.json";
const LOADER = "libvulkan.so.1";
// The loader comes last: a process that finds it finds the other two as well.
const FILES = [DRIVER, MANIFEST, LOADER] as const;

// From glibc's dlfcn.h. Node closes a library that registers no module; this flag keeps it in memory.
const RTLD_NODELETE = 0x1000;

export interface SoftwareAdapterOptions {
  /** Folder to unpack into. Default: `$XDG_CACHE_HOME/lvsa/…`, `~/.cache/lvsa/…`, then the temporary folder. */
  readonly cacheDirectory?: string;
}

export interface InstalledSoftwareAdapter {
  /** Folder that holds the driver. It may be deleted at any time; the next call unpacks it again. */
  readonly directory: string;
  /** The driver's name, as `create(["adapter=<name>"])` understands it. */
  readonly driver: string;
  /** Version of the package that ships the driver. */
  readonly version: string;
}

/**
 * Unpacks the driver once into the user's cache folder and makes it the process's Vulkan driver. Call `create()`
 * of the `webgpu` package again afterwards. Throws `SoftwareAdapterError`.
 */
export async function installSoftwareAdapter(
  options: SoftwareAdapterOptions = {},
): Promise<InstalledSoftwareAdapter> {
  assertSupported(process.platform, process.arch);
  const archive = await findDriverArchive();
  const directory = await usableFolder(
    cacheFolders(options.cacheDirectory),
    `swiftshader-${archive.version}`,
  );
  if (!(await allPresent(directory, FILES))) {
    await writeFiles(directory, await readDriverArchive(archive.path, FILES));
  }

  const manifest = join(directory, MANIFEST);
  // Vulkan loaders before 1.3.207 know the setting by the second name.
  await setForNativeCode({ VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest });
  loadIntoProcess(join(directory, LOADER));
  return { directory, driver: "SwiftShader", version: archive.version };
}

/** @internal Exported for the tests. */
export function assertSupported(platform: string, architecture: string): void {
  if (platform === "linux" && architecture === "x64") return;
  throw new SoftwareAdapterError(
    "SOFTWARE_ADAPTER_UNSUPPORTED_PLATFORM",
    `the embedded software driver exists for linux x64 only; this is ${platform} ${architecture}.`,
    {
      fix:
        platform === "linux"
          ? "Install a Vulkan driver; without a GPU: mesa-vulkan-drivers 25.0 or newer (Debian, Ubuntu)."
          : "Update the graphics driver: Metal (macOS) and Direct3D 12 (Windows) are found without this package.",
    },
  );
}

/** Variables of the process that libraries see too: Bun keeps what is set in `process.env` to itself. */
async function setForNativeCode(variables: Readonly<Record<string, string>>): Promise<void> {
  Object.assign(process.env, variables);
  if (process.versions.bun === undefined) return;
  const { dlopen } = (await import(BUN_FFI)) as BunFfi;
  const { symbols } = dlopen("libc.so.6", {
    setenv: { args: ["cstring", "cstring", "i32"], returns: "i32" },
  });
  const text = (value: string) => Buffer.from(`${value}\0`);
  for (const [name, value] of Object.entries(variables)) symbols.setenv(text(name), text(value), 1);
}

/** Not written in the import, so that no bundler looks for it. */
const BUN_FFI: string = "bun:ffi";
/** The part of Bun's own module that is used here. */
interface BunFfi {
  dlopen(
    library: string,
    functions: { readonly setenv: { readonly args: readonly string[]; readonly returns: string } },
  ): { readonly symbols: { setenv(name: Uint8Array, value: Uint8Array, overwrite: number): number } };
}

/** How Node, Bun and Deno say that a library which they loaded is no module of theirs. */
const NO_MODULE = /did not self-register|napi_register_module_v1|find register Node-API module/;

/** Dawn asks the system for a library of the loader's name; one that is in memory already is what it gets. */
function loadIntoProcess(path: string): void {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (cause) {
    // The loader is a plain library and no Node module: that is said after it was loaded.
    if (cause instanceof Error && NO_MODULE.test(cause.message)) return;
    throw new SoftwareAdapterError(
      "SOFTWARE_ADAPTER_NOT_LOADED",
      `the Vulkan loader can not be loaded: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        fix: `Delete the folder and try again; the folder must allow running programs, and Linux must use glibc.`,
        where: path,
        cause,
      },
    );
  }
}
