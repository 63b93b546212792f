/** One compile per shader and device. Compile errors name the kernel, the line and the source around it. */
import { DeviceError } from "../errors.js";
import { type Kernel, kernelSource } from "./kernel.js";

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class PipelineCache {
  readonly #gpu: GPUDevice;
  readonly #compiled = new Map<string, CompiledKernel>();
  readonly #checks: Promise<void>[] = [];
  readonly #failed: (error: DeviceError) => void;

  /** `failed` hears of compile errors, which WebGPU reports only after the call that caused them. */
  constructor(gpu: GPUDevice, failed: (error: DeviceError) => void) {
    this.#gpu = gpu;
    this.#failed = failed;
  }

  /** Waits until every compile so far is known to be good or was reported to `failed`. */
  async settled(): Promise<void> {
    await Promise.all(this.#checks.splice(0));
  }

  get(kernel: Kernel): CompiledKernel {
    const id = `${kernel.name}|${kernel.key}`;
    let compiled = this.#compiled.get(id);
    if (!compiled) {
      compiled = this.#compile(kernel, id);
      this.#compiled.set(id, compiled);
    }
    return compiled;
  }

  #compile(kernel: Kernel, id: string): CompiledKernel {
    const code = kernelSource(kernel);
    const compute = 4; // GPUShaderStage.COMPUTE
    this.#gpu.pushErrorScope("validation");
    const module = this.#gpu.createShaderModule({ code, label: id });
    const entries: GPUBindGroupLayoutEntry[] = kernel.bindings.map((b, binding) => ({
      binding,
      visibility: compute,
      buffer: { type: b.access === "read" ? "read-only-storage" : "storage" },
    }));
    if (Object.keys(kernel.params).length > 0) {
      entries.push({ binding: entries.length, visibility: compute, buffer: { type: "uniform" } });
    }
    const layout = this.#gpu.createBindGroupLayout({ entries, label: id });
    const pipeline = this.#gpu.createComputePipeline({
      layout: this.#gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
      label: id,
    });
    const check = this.#gpu.popErrorScope().then(async (error) => {
      if (error) this.#failed(await describeCompileError(id, code, module, error.message));
    });
    this.#checks.push(check);
    return { pipeline, layout };
  }
}

async function describeCompileError(
  id: string,
  code: string,
  module: GPUShaderModule,
  message: string,
): Promise<DeviceError> {
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
