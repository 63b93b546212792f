/**
 * The device: memory, recording and reading back. Ops record dispatches through it; only `read` and `idle` wait
 * for the GPU. All state that kernels share (pipelines, pool, recorder) belongs to one `Device` object.
 */
import { DeviceError, isLvsaError, type LvsaError, ShapeError } from "../errors.js";
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
import { mergeWordKernel } from "../kernel/merge-word.js";
import { PipelineCache } from "../kernel/pipeline-cache.js";
import { Profiler } from "../kernel/profiler.js";
import { BufferPool, type MemoryReport } from "../memory/buffer-pool.js";
import { ReadBack } from "../memory/read-back.js";
import { bytesPerElement, type DType } from "../tensor/dtype.js";
import { elementCount, formatShape, type Shape } from "../tensor/shape.js";
import { Tensor } from "../tensor/tensor.js";
import {
  bindingTooLarge,
  exchangeError,
  gpuError,
  lostDevice,
  noTimestamps,
  outOfMemory,
  tensorTooLarge,
  unalignedView,
  uncheckedKernel,
} from "./device-errors.js";
import type { DeviceInfo } from "./device-info.js";
import type { DeviceOptions, Dispatch, EmptyOptions } from "./device-options.js";
import { Pacer } from "./pacer.js";
import { QueueOrder } from "./queue-order.js";
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
  readonly #owned: boolean;
  readonly #scopes = new TensorScopes();
  readonly #onError: (event: Event) => void;
  #error: LvsaError | undefined;
  #lost: DeviceError | undefined;
  #stagedBytes = 0;
  #disposed = false;

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
      outOfMemory: (bytes, message) => this.#fail(outOfMemory(bytes, message)),
    });
    this.#readBack = new ReadBack(gpu);
    this.#pacer = new Pacer(gpu.queue);
    this.#pipelines = new PipelineCache(gpu, (error) => this.#fail(error));
    this.#order = new QueueOrder((error) => this.#fail(exchangeError(error)));
    this.#recorder = new CommandRecorder(gpu, this.profiler, this.#order, (error) =>
      this.#fail(gpuError(error)),
    );
    this.#onError = (event) => {
      event.preventDefault();
      this.#fail(gpuError((event as GPUUncapturedErrorEvent).error));
    };
    // On a foreign device the host's errors are the host's: there only scopes around our own calls are heard.
    if (owned) gpu.addEventListener("uncapturederror", this.#onError);
    void gpu.lost.then((info) => {
      if (info.reason === "destroyed" && this.#disposed) return;
      this.#lost = lostDevice(info);
    });
  }

  /** A new tensor with undefined contents, owned by the innermost scope, or by the caller outside of scopes. */
  empty(shape: Shape, dtype: DType = "f32", options: EmptyOptions = {}): Tensor {
    const bytes = elementCount(shape) * bytesPerElement(dtype);
    if (bytes > this.info.limits.maxBufferSize) {
      throw tensorTooLarge(`${dtype} tensor ${formatShape(shape)}`, bytes, this.info.limits.maxBufferSize);
    }
    this.#check();
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
    this.#check();
    const target = tensor.byteOffset + byteOffset;
    if (byteOffset + bytes.byteLength > tensor.byteLength) {
      throw new ShapeError(
        "SHAPE_MISMATCH",
        `${bytes.byteLength} bytes from byte ${byteOffset} do not fit a tensor of ${tensor.byteLength} bytes`,
      );
    }
    if (target % 4 !== 0) throw unalignedView(`write to byte ${target}`);
    this.submit();
    this.#stagedBytes += bytes.byteLength;
    const whole = bytes.byteLength - (bytes.byteLength % 4);
    if (whole > 0) this.#writeWords(tensor.buffer, target, bytes.subarray(0, whole));
    if (whole < bytes.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      const isLast = byteOffset + bytes.byteLength === tensor.byteLength;
      if (isLast && tensor.endsStorage) this.#writeWords(tensor.buffer, target + whole, tail);
      else {
        const word = this.empty([1], "u32", { label: "word" });
        this.#writeWords(word.buffer, 0, tail);
        this.#mergeWord(word, tensor.buffer, target + whole, bytes.byteLength - whole);
      }
    }
  }

  #writeWords(buffer: GPUBuffer, offset: number, bytes: Uint8Array): void {
    // The caller may change its bytes before a write that waits.
    const kept = (this.#order.isHeld ? bytes.slice() : bytes) as Uint8Array<ArrayBuffer>;
    this.#order.run(() => this.gpu.queue.writeBuffer(buffer, offset, kept));
  }

  /**
   * Records a part that the host has in the work, as other ranks' tensors come and go: after all that was recorded before,
   * `answer` is given the stored bytes of `from`, one after the other, and what it gives, one array for each of `to`,
   * is written over them before anything that is recorded afterwards. Nothing waits here: work behind it is submitted
   * when the answer is there, and `read`, `idle` and `pace` wait for it. When `answer` fails, what was recorded behind it
   * is dropped, and the next use of the device throws its error.
   * @throws ShapeError when a tensor does not begin and end at whole 32-bit words
   */
  exchange(
    from: readonly Tensor[],
    to: readonly Tensor[],
    answer: (bytes: Uint8Array) => Promise<readonly Uint8Array[]>,
  ): void {
    this.#check();
    for (const { byteOffset, byteLength } of [...from, ...to]) {
      if (byteOffset % 4 !== 0 || byteLength % 4 !== 0) {
        throw unalignedView(`exchange ${byteLength} bytes from byte ${byteOffset}`);
      }
    }
    const size = from.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const staging = this.#readBack.acquire(Math.max(size, 4));
    let at = 0;
    for (const { buffer, byteOffset, byteLength } of from) {
      if (byteLength > 0) this.#recorder.copy(buffer, byteOffset, staging, at, byteLength);
      at += byteLength;
    }
    this.submit();
    const targets = to.map(({ buffer, byteOffset, byteLength }) => ({ buffer, byteOffset, byteLength }));
    this.#order.hold(async () => {
      let reusable = false;
      try {
        const bytes = size > 0 ? new Uint8Array(await this.#readBack.read(staging, size)) : new Uint8Array();
        reusable = true;
        const answers = await answer(bytes);
        if (this.#disposed) return;
        for (const [i, { buffer, byteOffset, byteLength }] of targets.entries()) {
          const given = answers[i] as Uint8Array<ArrayBuffer> | undefined;
          if (given?.byteLength !== byteLength) {
            throw new ShapeError(
              "SHAPE_MISMATCH",
              `an exchange gave ${given?.byteLength ?? 0} bytes for a tensor of ${byteLength}`,
            );
          }
          if (byteLength > 0) this.gpu.queue.writeBuffer(buffer, byteOffset, given);
        }
      } finally {
        this.#readBack.release(staging, reusable);
      }
    });
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
    this.#check();
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
      this.#stagedBytes = 0;
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
    this.#check();
    const list = [...kernels];
    for (const kernel of list) this.#checkBounds(kernel);
    await this.#pipelines.warm(list);
  }

  /**
   * Records one dispatch. Bindings at offsets that the device can not bind are copied to aligned memory.
   * @throws DeviceError `UNCHECKED_KERNEL`, `BINDING_TOO_LARGE`
   */
  dispatch<P extends ParamTypes>(dispatch: Dispatch<P>): void {
    this.#check();
    const { kernel, tensors, params } = dispatch;
    if (tensors.length !== kernel.bindings.length) {
      throw new ShapeError(
        "BINDING_COUNT",
        `kernel ${kernel.name} has ${kernel.bindings.length} bindings, ${tensors.length} tensors were given`,
      );
    }
    this.#checkBounds(kernel);
    const compiled = this.#pipelines.get(kernel);
    const copies: { from: Tensor; to: Tensor }[] = [];
    const limit = this.info.limits.maxStorageBufferBindingSize;
    const bindings = tensors.map((tensor, i) => {
      if (tensor.disposed)
        throw new ShapeError(
          "DISPOSED",
          `kernel ${kernel.name}: tensor ${kernel.bindings[i]!.name} was disposed`,
        );
      const size = Math.max(16, Math.ceil(tensor.byteLength / 16) * 16);
      if (tensor.byteLength > limit) {
        throw bindingTooLarge(kernel.name, kernel.bindings[i]!.name, tensor, limit);
      }
      let bound = tensor;
      // A buffer may not be bound for reading and for writing in one dispatch, even at disjoint ranges.
      const reading = kernel.bindings[i]!.access === "read";
      const written =
        reading &&
        tensors.some((t, j) => t.buffer === tensor.buffer && kernel.bindings[j]!.access !== "read");
      const { minStorageBufferOffsetAlignment } = this.info.limits;
      if (written || tensor.byteOffset % minStorageBufferOffsetAlignment !== 0) {
        bound = this.empty(tensor.shape, tensor.dtype, { label: "aligned" });
        this.#copyWords(tensor, bound);
        copies.push({ from: bound, to: reading ? bound : tensor });
      }
      const offset = bound.byteOffset;
      return { buffer: bound.buffer, offset, size: Math.min(size, bound.buffer.size - offset) };
    });
    const { workgroups } = dispatch;
    this.#recorder.dispatch(
      kernel.name,
      compiled,
      bindings,
      Object.keys(kernel.params).length > 0 ? packParams(kernel.params, params) : undefined,
      typeof workgroups === "number" ? foldWorkgroups(workgroups) : workgroups,
    );
    for (const { from, to } of copies) {
      // Kernels keep what is behind the end in its last word, which came along.
      if (from !== to) this.#copyWords(from, to);
      from.dispose();
    }
  }

  /**
   * Copies the stored bytes of one tensor to another of the same byte length, and changes nothing around them.
   * @throws ShapeError when lengths differ, or one does not begin at a whole 32-bit word of its buffer
   */
  copyBytes(from: Tensor, to: Tensor): void {
    if (from.byteLength !== to.byteLength) {
      throw new ShapeError("SHAPE_MISMATCH", `cannot copy ${from.byteLength} bytes over ${to.byteLength}`);
    }
    const rest = to.endsStorage ? 0 : from.byteLength % 4;
    this.#copyWords(from, to, from.byteLength - rest);
    if (rest === 0) return;
    const at = from.byteLength - rest;
    const word = this.empty([1], "u32", { label: "word" });
    this.#recorder.copy(from.buffer, from.byteOffset + at, word.buffer, 0, 4);
    this.#mergeWord(word, to.buffer, to.byteOffset + at, rest);
  }

  /** Copies up to `bytes`, and up to three more so that words are whole. */
  #copyWords(from: Tensor, to: Tensor, bytes = from.byteLength): void {
    if (from.byteOffset % 4 !== 0 || to.byteOffset % 4 !== 0) {
      throw unalignedView(`copy from byte ${from.byteOffset} to byte ${to.byteOffset}`);
    }
    const size = Math.ceil(bytes / 4) * 4;
    if (size > 0) this.#recorder.copy(from.buffer, from.byteOffset, to.buffer, to.byteOffset, size);
  }

  /** The first `bytes` of `word` over those at `offset` of a buffer; disposes `word`. */
  #mergeWord(word: Tensor, buffer: GPUBuffer, offset: number, bytes: number): void {
    const result = this.empty([1], "u32", { label: "word" });
    this.#recorder.copy(buffer, offset, result.buffer, 0, 4);
    const params = { mask: 2 ** (8 * bytes) - 1 };
    this.dispatch({ kernel: mergeWordKernel, tensors: [word, result], params, workgroups: 1 });
    this.#recorder.copy(result.buffer, 0, buffer, offset, 4);
    for (const tensor of [word, result]) tensor.dispose();
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
    this.#check();
  }

  /** Waits until the GPU has taken what was written, if that is much: drivers stage writes in memory of their own. */
  async boundStaging(): Promise<void> {
    if (this.#stagedBytes >= STAGED_BYTES) await this.#sync("weights");
  }

  memory(): MemoryReport {
    const report = this.#pool.report();
    return { ...report, createdBuffers: report.createdBuffers + this.#readBack.createdBuffers };
  }

  resetPeakMemory(): void {
    this.#pool.resetPeak();
  }

  /** Frees everything made through this object; an injected `GPUDevice` itself stays alive. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.gpu.removeEventListener("uncapturederror", this.#onError);
    this.#pool.close();
    this.#readBack.dispose();
    this.#recorder.dispose();
    if (this.#owned) this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkBounds(kernel: Kernel): void {
    if (this.unchecked && !kernel.inBounds) throw uncheckedKernel(kernel.name);
  }

  #fail(error: LvsaError): void {
    // A missing buffer, or a shader that does not compile, makes everything after it invalid too: keep the cause, not
    // the echo.
    if (!this.#error || (error.code !== "GPU_ERROR" && this.#error.code === "GPU_ERROR")) this.#error = error;
  }

  /** Whether the GPU was taken away: everything but `dispose` throws `DEVICE_LOST` from then on. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Throws what went wrong. A lost device stays lost; other errors are thrown once, and the device goes on. */
  #check(): void {
    if (this.#disposed) throw new DeviceError("DEVICE_DISPOSED", "the device was disposed");
    if (this.#lost) throw this.#lost;
    if (!this.#error) return;
    const error = this.#error;
    this.#error = undefined;
    // What was recorded may stand on what failed.
    this.#recorder.discard();
    throw error;
  }

  async #sync(retire: "weights" | "idle" | "all"): Promise<void> {
    this.submit();
    await this.#order.passed();
    // Dawn holds queue writes, and memory freed behind them, until something is submitted.
    this.gpu.queue.submit([]);
    const retired = this.#pool.retire(retire);
    await this.gpu.queue.onSubmittedWorkDone();
    this.#stagedBytes = 0;
    if (!this.#disposed) retired.destroy();
    if (retire === "all" && !this.#disposed) {
      // What was destroyed goes back to the driver when something that was submitted afterwards has passed.
      this.gpu.queue.submit([]);
      await this.gpu.queue.onSubmittedWorkDone();
    }
    await this.#settled();
    this.#check();
  }

  /** Lets error callbacks of finished work run, and throws what they said. */
  async #settled(): Promise<void> {
    if (!this.#disposed && !this.#lost) {
      this.gpu.pushErrorScope("validation");
      await this.gpu.popErrorScope();
      await Promise.all([this.#pool.settled(), this.#recorder.settled(), this.#pipelines.settled()]);
    }
    this.#check();
  }
}

/** Bytes that may wait in the driver's staging memory before a writer waits for the GPU to take them. */
const STAGED_BYTES = 128 * 1024 * 1024;
