/** WebGPU's flags by name, spelled out: Node has no GPU globals. */
const BUFFER_USAGE = {
  MAP_READ: 0x0001,
  MAP_WRITE: 0x0002,
  COPY_SRC: 0x0004,
  COPY_DST: 0x0008,
  UNIFORM: 0x0040,
  STORAGE: 0x0080,
  QUERY_RESOLVE: 0x0200,
} as const;

export function gpuBufferUsage(...names: readonly (keyof typeof BUFFER_USAGE)[]): GPUBufferUsageFlags {
  return names.reduce((flags, name) => flags | BUFFER_USAGE[name], 0);
}

export const MAP_READ_MODE = 0x0001;
export const MAP_WRITE_MODE = 0x0002;
export const COMPUTE_STAGE = 0x0004;
