/** What stands in the way of WebGPU here, in words for the visitor of a page. */

export interface WebgpuProblem {
  readonly code: "NOT_SECURE" | "NO_WEBGPU" | "NO_ADAPTER" | "NO_WORKER";
  /** One sentence for each. */
  readonly message: string;
  readonly fix: string;
}

/** Undefined where clips can be made. The worker asks for the device itself; this asks for an adapter only. */
export async function webgpuProblem(): Promise<WebgpuProblem | undefined> {
  if (globalThis.isSecureContext === false) {
    return {
      code: "NOT_SECURE",
      message: "Browsers give the GPU only to pages that came over a safe connection.",
      fix: "Open this page over https, or from localhost.",
    };
  }
  if (typeof globalThis.Worker === "undefined") {
    return {
      code: "NO_WORKER",
      message: "This browser runs no workers here.",
      fix: "Use a current browser.",
    };
  }
  const { gpu } = globalThis.navigator as { gpu?: GPU };
  if (!gpu) {
    return {
      code: "NO_WEBGPU",
      message: "This browser has no WebGPU, with which pages compute on the GPU.",
      fix: isFirefox()
        ? 'Open about:config and set dom.webgpu.enabled to "true", or use Chrome or Edge. On Windows and on Macs Firefox has it from version 145 on.'
        : "Use Chrome or Edge 113, Safari 26, Firefox 145 or later. On Linux it may have to be switched on in the settings.",
    };
  }
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (adapter) return undefined;
  return {
    code: "NO_ADAPTER",
    message: "This browser has WebGPU, and finds no GPU that it may use.",
    fix: "Switch hardware acceleration on in the browser's settings, update the graphics driver, and see chrome://gpu or about:support for the reason.",
  };
}

function isFirefox(): boolean {
  return /\bFirefox\//.test(globalThis.navigator?.userAgent ?? "");
}
