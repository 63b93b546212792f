/** Numbers with their shape, on the CPU. */
export interface HostTensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}
