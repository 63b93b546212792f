/**
 * One compile per shader and device, side by side where a caller asks in time, on the spot where a dispatch needs it
 * now. Compile errors name the kernel, the line and the source around it.
 */
import { COMPUTE_STAGE } from "../device/gpu-usage.js";
import { DeviceError } from "../errors.js";
import { type Kernel, kernelSource } from "./kernel.js";

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

interface Prepared {
  readonly id: string;
  readonly code: string;
  readonly module: GPUShaderModule;
  readonly layout: GPUBindGroupLayout;
  readonly descriptor: GPUComputePipelineDescriptor;
}

export class PipelineCache {
  readonly #gpu: GPUDevice;
  readonly #compiled = new Map<string, CompiledKernel>();
  readonly #kernels = new Map<string, Kernel>();
  /** Compiles that were started by `warm` and are not done. */
  readonly #inFlight = new Map<string, Promise<void>>();
  readonly #checks: Promise<void>[] = [];
  readonly #failed: (error: DeviceError) => void;

  /** `failed` hears of compile errors of `get`, which WebGPU reports only after the call that caused them. */
  constructor(gpu: GPUDevice, failed: (error: DeviceError) => void) {
    this.#gpu = gpu;
    this.#failed = failed;
  }

  /** Every kernel that was asked for. */
  kernels(): readonly Kernel[] {
    return [...this.#kernels.values()];
  }

  /** Waits until every compile of `get` so far is known to be good or was reported to `failed`. */
  async settled(): Promise<void> {
    await Promise.all(this.#checks.splice(0));
  }

  /** The pipeline, compiled now if nobody has. */
  get(kernel: Kernel): CompiledKernel {
    const id = idOf(kernel);
    let compiled = this.#compiled.get(id);
    if (!compiled) {
      compiled = this.#compile(kernel, id);
      this.#kernels.set(id, kernel);
      this.#compiled.set(id, compiled);
    }
    return compiled;
  }

  /**
   * Compiles all that are neither compiled nor in flight, and waits for all.
   * @throws DeviceError `SHADER_ERROR` of the first that fails
   */
  async warm(kernels: Iterable<Kernel>): Promise<void> {
    const waiting: Promise<void>[] = [];
    for (const kernel of kernels) {
      const id = idOf(kernel);
      if (this.#compiled.has(id)) continue;
      let compile = this.#inFlight.get(id);
      if (!compile) {
        this.#kernels.set(id, kernel);
        compile = this.#compileAside(kernel, id).finally(() => this.#inFlight.delete(id));
        this.#inFlight.set(id, compile);
      }
      waiting.push(compile);
    }
    await Promise.all(waiting);
  }

  #compile(kernel: Kernel, id: string): CompiledKernel {
    this.#gpu.pushErrorScope("validation");
    const prepared = this.#prepare(kernel, id);
    const pipeline = this.#gpu.createComputePipeline(prepared.descriptor);
    const check = this.#gpu.popErrorScope().then(async (error) => {
      if (error) this.#failed(await describeCompileError(prepared, error.message));
    });
    this.#checks.push(check);
    return { pipeline, layout: prepared.layout };
  }

  async #compileAside(kernel: Kernel, id: string): Promise<void> {
    this.#gpu.pushErrorScope("validation");
    const prepared = this.#prepare(kernel, id);
    const scope = this.#gpu.popErrorScope();
    const pipeline = this.#gpu.createComputePipelineAsync(prepared.descriptor);
    const [error, outcome] = await Promise.all([
      scope,
      pipeline.then(
        (compiled) => ({ compiled }),
        (reason: unknown) => ({ message: reason instanceof Error ? reason.message : String(reason) }),
      ),
    ]);
    const message = error?.message ?? ("message" in outcome ? outcome.message : undefined);
    if (message !== undefined) {
      this.#kernels.delete(id);
      throw await describeCompileError(prepared, message);
    }
    // A dispatch that could not wait has compiled it meanwhile: its bind groups belong to that layout.
    if ("compiled" in outcome && !this.#compiled.has(id)) {
      this.#compiled.set(id, { pipeline: outcome.compiled, layout: prepared.layout });
    }
  }

  #prepare(kernel: Kernel, id: string): Prepared {
    const code = kernelSource(kernel);
    const module = this.#gpu.createShaderModule({ code, label: id });
    const entries: GPUBindGroupLayoutEntry[] = kernel.bindings.map((b, binding) => ({
      binding,
      visibility: COMPUTE_STAGE,
      buffer: { type: b.access === "read" ? "read-only-storage" : "storage" },
    }));
    if (Object.keys(kernel.params).length > 0) {
      entries.push({ binding: entries.length, visibility: COMPUTE_STAGE, buffer: { type: "uniform" } });
    }
    const layout = this.#gpu.createBindGroupLayout({ entries, label: id });
    const descriptor: GPUComputePipelineDescriptor = {
      layout: this.#gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
      label: id,
    };
    return { id, code, module, layout, descriptor };
  }
}

function idOf(kernel: Kernel): string {
  return `${kernel.name}|${kernel.key}`;
}

async function describeCompileError({ id, code, module }: Prepared, message: string): Promise<DeviceError> {
  const info = await module.getCompilationInfo();
  const lines = code.split("\n");
  const details = info.messages
    .filter((m) => m.type === "error")
    .map((m) => {
      const around = lines.slice(Math.max(0, m.lineNum - 3), m.lineNum + 2);
      return `line ${m.lineNum}:${m.linePos} ${m.message}\n${around.join("\n")}`;
    });
  return new DeviceError("SHADER_ERROR", `shader ${id} does not compile: ${details.join("\n") || message}`, {
    fix: "This is a fault of the library or of a driver: please report it with the text above.",
  });
}
