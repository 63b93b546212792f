/**
 * The device: memory, recording and reading back. Ops record dispatches through it; only `read` and `idle` wait
 * for the GPU. All state that kernels share (pipelines, pool, recorder) belongs to one `Device` object.
 */
import { DeviceError, isLvsaError, ShapeError } from "../errors.js";
import { CommandRecorder } from "../kernel/command-recorder.js";
import { foldWorkgroups, type Kernel, type ParamTypes, packParams } from "../kernel/kernel.js";
import {
  type KernelChoice,
  KernelChooser,
  type KernelFamily,
  type KernelMath,
  type KernelUse,
  resolveMath,
} from "../kernel/kernel-family.js";
import { PipelineCache } from "../kernel/pipeline-cache.js";
import { Profiler } from "../kernel/profiler.js";
import { BufferPool, type MemoryReport } from "../memory/buffer-pool.js";
import { ReadBack } from "../memory/read-back.js";
import { bytesPerElement, type DType } from "../tensor/dtype.js";
import { elementCount, formatShape, type Shape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import { boundTensors } from "./bound-tensors.js";
import {
  exchangeError,
  gpuError,
  lostDevice,
  noTimestamps,
  outOfMemory,
  tensorTooLarge,
  uncheckedKernel,
} from "./device-errors.js";
import { DeviceFaults } from "./device-faults.js";
import type { DeviceInfo } from "./device-info.js";
import type { DeviceOptions, Dispatch, EmptyOptions } from "./device-options.js";
import { type ExchangePart, Exchanges } from "./exchanges.js";
import { Pacer } from "./pacer.js";
import { QueueOrder } from "./queue-order.js";
import { TensorBytes } from "./tensor-bytes.js";
import {
  checkFloats,
  checkIntegers,
  floatsOf,
  integersOf,
  type Numbers,
  storedBytes,
} from "./tensor-numbers.js";
import { type ScopeResult, TensorScopes } from "./tensor-scopes.js";

export class Device {
  readonly gpu: GPUDevice;
  readonly info: DeviceInfo;
  readonly math: KernelMath;
  /** Indices are not checked: only kernels that say `inBounds` run. */
  readonly unchecked: boolean;
  readonly profiler: Profiler | undefined;
  readonly #pool: BufferPool;
  readonly #chooser: KernelChooser;
  readonly #pipelines: PipelineCache;
  readonly #recorder: CommandRecorder;
  readonly #readBack: ReadBack;
  readonly #pacer: Pacer;
  readonly #order: QueueOrder;
  readonly #bytes: TensorBytes;
  readonly #exchanges: Exchanges;
  readonly #faults = new DeviceFaults(() => this.#recorder.discard());
  readonly #owned: boolean;
  readonly #scopes = new TensorScopes();
  readonly #onError: (event: Event) => void;

  /** Use `createDevice`. `owned`: whether `dispose` also destroys the `GPUDevice`. */
  constructor(gpu: GPUDevice, info: DeviceInfo, owned: boolean, options: DeviceOptions = {}) {
    this.gpu = gpu;
    this.info = info;
    this.math = resolveMath(options.math, info);
    this.unchecked = options.unchecked ?? false;
    this.#chooser = new KernelChooser(info, {
      math: this.math,
      ...(options.rules ? { rules: options.rules } : {}),
    });
    this.#owned = owned;
    if (options.profile && !gpu.features.has("timestamp-query")) throw noTimestamps(info);
    this.profiler = options.profile ? new Profiler(gpu) : undefined;
    this.#pool = new BufferPool(gpu, {
      outOfMemory: (bytes, message) => this.#faults.report(outOfMemory(bytes, message)),
    });
    this.#readBack = new ReadBack(gpu);
    this.#pacer = new Pacer(gpu.queue);
    this.#pipelines = new PipelineCache(gpu, (error) => this.#faults.report(error));
    this.#order = new QueueOrder((error) => {
      // Exchanges that waited were dropped with their claims on it.
      this.#exchanges.free();
      this.#faults.report(exchangeError(error));
    });
    this.#recorder = new CommandRecorder(gpu, this.profiler, this.#order, (error) =>
      this.#faults.report(gpuError(error)),
    );
    this.#bytes = new TensorBytes(this, this.#recorder, this.#order);
    this.#exchanges = new Exchanges(gpu, this, this.#recorder, this.#order);
    this.#onError = (event) => {
      event.preventDefault();
      this.#faults.report(gpuError((event as GPUUncapturedErrorEvent).error));
    };
    // On a foreign device the host's errors are the host's: there only scopes around our own calls are heard.
    if (owned) gpu.addEventListener("uncapturederror", this.#onError);
    void gpu.lost.then((info) => {
      if (info.reason === "destroyed" && this.#faults.isDisposed) return;
      this.#faults.lose(lostDevice(info));
    });
  }

  /** A new tensor with undefined contents, owned by the innermost scope, or by the caller outside of scopes. */
  empty(shape: Shape, dtype: DType = "f32", options: EmptyOptions = {}): Tensor {
    const bytes = elementCount(shape) * bytesPerElement(dtype);
    if (bytes > this.info.limits.maxBufferSize) {
      throw tensorTooLarge(`${dtype} tensor ${formatShape(shape)}`, bytes, this.info.limits.maxBufferSize);
    }
    this.#faults.check();
    const pinned = options.pinned ?? false;
    // A pinned tensor itself outlives scopes; views of it do not.
    let untracked = pinned;
    const track = (tensor: Tensor) => {
      if (!untracked) this.#scopes.add(tensor);
      untracked = false;
    };
    const storage = this.#pool.acquire(bytes, pinned, options.label ?? dtype, track);
    return new Tensor(storage.buffer, 0, shape, dtype, storage);
  }

  zeros(shape: Shape, dtype: DType = "f32", options: EmptyOptions = {}): Tensor {
    const tensor = this.empty(shape, dtype, options);
    this.#recorder.clear(tensor.buffer, 0, Math.ceil(tensor.byteLength / 4) * 4);
    return tensor;
  }

  /** Copies numbers to a new tensor, converting to `dtype`. */
  upload(data: Numbers, shape: Shape, dtype: DType = "f32", options: EmptyOptions = {}): Tensor {
    const tensor = this.empty(shape, dtype, options);
    this.write(tensor, data);
    return tensor;
  }

  /** Overwrites a tensor with numbers, converting to its dtype. Ordered after all work recorded before. */
  write(tensor: Tensor, data: Numbers): void {
    if (data.length !== tensor.size) {
      throw new ShapeError(
        "SHAPE_MISMATCH",
        `tensor ${formatShape(tensor.shape)} holds ${tensor.size} elements, ${data.length} were given`,
      );
    }
    this.writeBytes(tensor, storedBytes(data, tensor.dtype));
  }

  /**
   * Overwrites stored bytes of a tensor from `byteOffset`, and nothing around them.
   * @throws ShapeError when they do not fit the tensor, or do not begin at a whole 32-bit word of its buffer
   */
  writeBytes(tensor: Tensor, bytes: Uint8Array, byteOffset = 0): void {
    this.#faults.check();
    this.#bytes.write(tensor, bytes, byteOffset);
  }

  /**
   * Records a part that the host has in the work, as other ranks' tensors come and go: after all that was recorded before,
   * `part` is given the stored bytes of `from`, one after the other, and memory for those of `to`, which it fills before
   * anything that is recorded afterwards. Nothing waits here: work behind it is submitted when the part's promise is
   * fulfilled, and `read`, `idle` and `pace` wait for it. When it fails, what was recorded behind it is dropped, and the
   * next use of the device throws its error.
   * @param part both arrays are the device's own mapped memory: they are gone when its promise settles, so that nothing may
   *   still read or write them then
   * @throws ShapeError when a tensor does not begin and end at whole 32-bit words
   */
  exchange(from: readonly Tensor[], to: readonly Tensor[], part: ExchangePart): void {
    this.#faults.check();
    this.#exchanges.record(from, to, part);
  }

  /**
   * Reads a tensor back as numbers (f16 and bf16 widened). Submits, waits, and throws errors of earlier work.
   * @throws ShapeError for i32 and u32, which an f32 does not hold: `readIntegers`
   */
  async read(tensor: Tensor): Promise<Float32Array> {
    checkFloats(tensor.dtype);
    return floatsOf(await this.readBytes(tensor), tensor.dtype);
  }

  /**
   * Reads an i32, u32 or u8 tensor back. Submits, waits, and throws errors of earlier work.
   * @throws ShapeError for float types
   */
  async readIntegers(tensor: Tensor): Promise<Int32Array | Uint32Array | Uint8Array> {
    checkIntegers(tensor.dtype);
    return integersOf(await this.readBytes(tensor), tensor.dtype, tensor.size);
  }

  /** Reads a tensor's stored bytes. */
  async readBytes(tensor: Tensor): Promise<Uint8Array> {
    this.#faults.check();
    const start = tensor.byteOffset - (tensor.byteOffset % 4);
    const skip = tensor.byteOffset - start;
    const size = Math.max(4, Math.ceil((skip + tensor.byteLength) / 4) * 4);
    const staging = this.#readBack.acquire(size);
    let reusable = false;
    try {
      this.#recorder.copy(tensor.buffer, start, staging, 0, size);
      this.submit();
      await this.#order.passed();
      const retired = this.#pool.retire("idle");
      const bytes = await this.#readBack.read(staging, skip + tensor.byteLength);
      reusable = true;
      this.#bytes.taken();
      retired.destroy();
      await this.#settled();
      return new Uint8Array(bytes, skip, tensor.byteLength).slice();
    } catch (error) {
      await this.#settled();
      if (isLvsaError(error)) throw error;
      throw new DeviceError("READ_FAILED", "the GPU did not hand a tensor back", { cause: error });
    } finally {
      this.#readBack.release(staging, reusable);
    }
  }

  /**
   * Runs `body` and frees every tensor made in it, except those it returns (alone, or in plain arrays and
   * objects), which move to the scope around it, or to the caller. `body` must be synchronous: forward passes
   * only record.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: bodies that return nothing are common
  scope<T extends ScopeResult | void>(body: () => T): T {
    return this.#scopes.run(body);
  }

  /** Takes a tensor out of all scopes: from here on the caller disposes it. For what outlives a scope by another way than its result. */
  keep(tensor: Tensor): Tensor {
    this.#scopes.forget(tensor);
    return tensor;
  }

  /**
   * The kernel of a family for a shape on this device.
   * @param override a rule's id, whatever `math` says
   * @throws DeviceError `KERNEL_RULE` when the override can not run
   */
  choose<Shape, Size, Variant>(
    family: KernelFamily<Shape, Size, Variant>,
    shape: Shape,
    size: Size,
    override?: string,
  ): KernelChoice<Variant> {
    return this.#chooser.choose(family, shape, size, override);
  }

  /** Rules that were chosen so far, how often, and why others were not. For profiles. */
  kernelUses(): readonly KernelUse[] {
    return this.#chooser.uses();
  }

  /** Kernels that were dispatched or warmed so far. Plain data: what `warm` of another device takes. */
  kernels(): readonly Kernel[] {
    return this.#pipelines.kernels();
  }

  /**
   * Compiles kernels side by side, before the first dispatch needs them. A dispatch that comes in between compiles what it
   * needs itself.
   * @throws DeviceError `SHADER_ERROR`, `UNCHECKED_KERNEL`
   */
  async warm(kernels: Iterable<Kernel>): Promise<void> {
    this.#faults.check();
    const list = [...kernels];
    for (const kernel of list) this.#checkBounds(kernel);
    await this.#pipelines.warm(list);
  }

  /**
   * Records one dispatch. Bindings at offsets that the device can not bind are copied to aligned memory.
   * @throws DeviceError `UNCHECKED_KERNEL`, `BINDING_TOO_LARGE`
   */
  dispatch<P extends ParamTypes>(dispatch: Dispatch<P>): void {
    this.#faults.check();
    const { kernel, tensors, params } = dispatch;
    if (tensors.length !== kernel.bindings.length) {
      throw new ShapeError(
        "BINDING_COUNT",
        `kernel ${kernel.name} has ${kernel.bindings.length} bindings, ${tensors.length} tensors were given`,
      );
    }
    this.#checkBounds(kernel);
    const compiled = this.#pipelines.get(kernel);
    const { bindings, copies } = boundTensors(kernel, tensors, this.info, (tensor) => {
      const bound = this.empty(tensor.shape, tensor.dtype, { label: "aligned" });
      this.#bytes.copyWords(tensor, bound);
      return bound;
    });
    const { workgroups } = dispatch;
    this.#recorder.dispatch(
      kernel.name,
      compiled,
      bindings,
      Object.keys(kernel.params).length > 0 ? packParams(kernel.params, params) : undefined,
      typeof workgroups === "number" ? foldWorkgroups(workgroups) : workgroups,
      dispatch.cost,
    );
    for (const { from, to } of copies) {
      // Kernels keep what is behind the end in its last word, which came along.
      if (to) this.#bytes.copyWords(from, to);
      from.dispose();
    }
  }

  /**
   * Copies the stored bytes of one tensor to another of the same byte length, and changes nothing around them.
   * @throws ShapeError when lengths differ, or one does not begin at a whole 32-bit word of its buffer
   */
  copyBytes(from: Tensor, to: Tensor): void {
    this.#bytes.copy(from, to);
  }

  /** Hands recorded work to the GPU without waiting. */
  submit(): void {
    this.#recorder.submit();
  }

  /** Submits, waits until the GPU is done, and throws errors of earlier work. */
  async idle(): Promise<void> {
    await this.#sync("idle");
  }

  /** Waits until the GPU is done, and gives the memory of all free buffers back. For the end of a phase. */
  async releaseMemory(): Promise<void> {
    await this.#sync("all");
  }

  /**
   * Submits recorded work and waits, if need be, until no more than about 250 ms of it are in flight. Call it between
   * the blocks of a model: recording is far faster than the GPU. Throws errors of earlier work.
   */
  async pace(): Promise<void> {
    this.submit();
    await this.#order.passed();
    await this.#pacer.portion();
    this.#faults.check();
  }

  /** Waits until the GPU has taken what was written, if that is much: drivers stage writes in memory of their own. */
  async boundStaging(): Promise<void> {
    if (this.#bytes.isStagingFull) await this.#sync("weights");
  }

  memory(): MemoryReport {
    const report = this.#pool.report();
    const staging = this.#readBack.createdBuffers + this.#exchanges.createdBuffers;
    return { ...report, createdBuffers: report.createdBuffers + staging };
  }

  resetPeakMemory(): void {
    this.#pool.resetPeak();
  }

  /**
   * Frees everything made through this object; an injected `GPUDevice` itself stays alive. Where an exchange is under way,
   * memory goes when it is through, since others may still read or write it.
   */
  dispose(): void {
    if (this.#faults.isDisposed) return;
    this.#faults.dispose();
    this.#exchanges.close();
    this.gpu.removeEventListener("uncapturederror", this.#onError);
    if (!this.#order.isHeld) {
      this.#free();
      return;
    }
    this.#order.close();
    void this.#order.passed().then(() => this.#free());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #free(): void {
    this.#pool.close();
    this.#readBack.dispose();
    this.#exchanges.free();
    this.#recorder.dispose();
    if (this.#owned) this.gpu.destroy();
  }

  #checkBounds(kernel: Kernel): void {
    if (this.unchecked && !kernel.inBounds) throw uncheckedKernel(kernel.name);
  }

  /** Whether the GPU was taken away: everything but `dispose` throws `DEVICE_LOST` from then on. */
  get isLost(): boolean {
    return this.#faults.isLost;
  }

  async #sync(retire: "weights" | "idle" | "all"): Promise<void> {
    this.submit();
    await this.#order.passed();
    // Dawn holds queue writes, and memory freed behind them, until something is submitted.
    this.gpu.queue.submit([]);
    if (retire === "all") this.#exchanges.free();
    const retired = this.#pool.retire(retire);
    await this.gpu.queue.onSubmittedWorkDone();
    this.#bytes.taken();
    if (!this.#faults.isDisposed) retired.destroy();
    if (retire === "all" && !this.#faults.isDisposed) {
      // What was destroyed goes back to the driver when something that was submitted afterwards has passed.
      this.gpu.queue.submit([]);
      await this.gpu.queue.onSubmittedWorkDone();
    }
    await this.#settled();
    this.#faults.check();
  }

  /** Lets error callbacks of finished work run, and throws what they said. */
  async #settled(): Promise<void> {
    if (!this.#faults.isDisposed && !this.#faults.isLost) {
      this.gpu.pushErrorScope("validation");
      await this.gpu.popErrorScope();
      await Promise.all([this.#pool.settled(), this.#recorder.settled(), this.#pipelines.settled()]);
    }
    this.#faults.check();
  }
}
