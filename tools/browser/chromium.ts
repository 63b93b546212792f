/** The browser of the tests. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

/** Debian's, Ubuntu's, or the one that the variable names; none is downloaded. */
export const chromiumPath: string | undefined = [
  process.env.LVSA_CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => path !== undefined && existsSync(path));

/** On SwiftShader: the same everywhere, with or without a GPU. */
export const chromiumFlags: readonly string[] = [
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
];

export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath!, args: [...chromiumFlags] });
}
