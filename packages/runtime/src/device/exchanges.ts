/**
 * The host's part in recorded work: what other ranks get of this device's tensors, and give for them. The host reads and writes
 * mapped memory, so that each byte is copied once by the processor on either side.
 */
import type { CommandRecorder } from "../kernel/command-recorder.js";
import { SharedStaging } from "../memory/shared-staging.js";
import type { Tensor } from "../tensor/tensor.js";
import { unalignedView } from "./device-errors.js";
import type { QueueOrder } from "./queue-order.js";

/**
 * What the host does between a device's tensors and those of others.
 * @param given stored bytes of what the device gives, to be read
 * @param taken bytes that are to be written, all of them; what they hold before is anything
 */
export type ExchangePart = (given: Uint8Array, taken: Uint8Array) => Promise<void>;

/** The device, as far as it is used here. */
interface ExchangeHost {
  readonly gpu: Pick<GPUDevice, "queue" | "createCommandEncoder">;
  submit(): void;
}

export class Exchanges {
  readonly #host: ExchangeHost;
  readonly #recorder: CommandRecorder;
  readonly #order: QueueOrder;
  readonly #give: SharedStaging;
  readonly #take: SharedStaging;
  #isClosed = false;

  constructor(gpu: GPUDevice, host: ExchangeHost, recorder: CommandRecorder, order: QueueOrder) {
    this.#host = host;
    this.#recorder = recorder;
    this.#order = order;
    this.#give = new SharedStaging(gpu, "give");
    this.#take = new SharedStaging(gpu, "take");
  }

  get createdBuffers(): number {
    return this.#give.createdBuffers + this.#take.createdBuffers;
  }

  /** See `Device.exchange`. */
  record(from: readonly Tensor[], to: readonly Tensor[], part: ExchangePart): void {
    for (const { byteOffset, byteLength } of [...from, ...to]) {
      if (byteOffset % 4 !== 0 || byteLength % 4 !== 0) {
        throw unalignedView(`exchange ${byteLength} bytes from byte ${byteOffset}`);
      }
    }
    const givenBytes = bytesOf(from);
    const takenBytes = bytesOf(to);
    const give = givenBytes > 0 ? this.#give.acquire(givenBytes) : undefined;
    const take = takenBytes > 0 ? this.#take.acquire(takenBytes) : undefined;
    let at = 0;
    for (const { buffer, byteOffset, byteLength } of from) {
      if (byteLength > 0) this.#recorder.copy(buffer, byteOffset, give!, at, byteLength);
      at += byteLength;
    }
    this.#host.submit();
    const targets = to.map(({ buffer, byteOffset, byteLength }) => ({ buffer, byteOffset, byteLength }));
    this.#order.hold(async () => {
      let reusable = false;
      try {
        const [given, taken] = await settledAll([
          give ? this.#give.map(give, givenBytes) : new Uint8Array(),
          take ? this.#take.map(take, takenBytes) : new Uint8Array(),
        ]);
        if (this.#isClosed) return;
        await part(given!, taken!);
        if (this.#isClosed) return;
        give?.unmap();
        take?.unmap();
        reusable = true;
        if (take) this.#write(take, targets);
      } finally {
        if (give) this.#give.release(give, reusable);
        if (take) this.#take.release(take, reusable);
      }
    });
  }

  /** Frees staging memory: no exchange is under way, or those that were have been dropped. */
  free(): void {
    this.#give.free();
    this.#take.free();
  }

  /** Nothing is exchanged after the part that is under way, whose memory stays until it is through. */
  close(): void {
    this.#isClosed = true;
  }

  #write(
    staging: GPUBuffer,
    targets: readonly {
      readonly buffer: GPUBuffer;
      readonly byteOffset: number;
      readonly byteLength: number;
    }[],
  ): void {
    const encoder = this.#host.gpu.createCommandEncoder();
    let at = 0;
    for (const { buffer, byteOffset, byteLength } of targets) {
      if (byteLength > 0) encoder.copyBufferToBuffer(staging, at, buffer, byteOffset, byteLength);
      at += byteLength;
    }
    this.#host.gpu.queue.submit([encoder.finish()]);
  }
}

function bytesOf(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** As `Promise.all`, and nothing is under way any more when it throws. */
async function settledAll<T>(all: readonly (T | Promise<T>)[]): Promise<T[]> {
  const settled = await Promise.allSettled(all);
  return settled.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
}
