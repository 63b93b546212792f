/** What went wrong on a device, kept until somebody uses it again: the GPU says so when the work is long recorded. */
import { DeviceError, type LvsaError } from "../errors.js";

export class DeviceFaults {
  readonly #discard: () => void;
  #error: LvsaError | undefined;
  #lost: DeviceError | undefined;
  #isDisposed = false;

  /** `discard` drops what was recorded, which may stand on what failed. */
  constructor(discard: () => void) {
    this.#discard = discard;
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  report(error: LvsaError): void {
    // A missing buffer, or a shader that does not compile, makes everything after it invalid too: keep the cause, not
    // the echo.
    if (!this.#error || (error.code !== "GPU_ERROR" && this.#error.code === "GPU_ERROR")) this.#error = error;
  }

  lose(error: DeviceError): void {
    this.#lost = error;
  }

  dispose(): void {
    this.#isDisposed = true;
  }

  /** Throws what went wrong. A lost device stays lost; other errors are thrown once, and the device goes on. */
  check(): void {
    if (this.#isDisposed) throw new DeviceError("DEVICE_DISPOSED", "the device was disposed");
    if (this.#lost) throw this.#lost;
    if (!this.#error) return;
    const error = this.#error;
    this.#error = undefined;
    this.#discard();
    throw error;
  }
}
