/** Numbers as visitors read them. */

export function bytesInWords(bytes: number): string {
  if (!Number.isFinite(bytes)) return "more than this GPU can take";
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${Math.round(bytes / 1e6)} MB`;
  return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

export function secondsInWords(seconds: number): string {
  if (seconds < 1.5) return "a second";
  if (seconds < 90) return `${Math.round(seconds)} seconds`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} minutes`;
  return `${(seconds / 3600).toFixed(1)} hours`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** A length of video. */
export function lengthInWords(frames: number, fps: number): string {
  return `${(frames / fps).toFixed(1)} s (${frames} frames)`;
}
