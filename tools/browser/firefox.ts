/** Firefox for the tests, as its users have it: driven by WebDriver BiDi, which needs no build of its own. */
import { existsSync } from "node:fs";
import puppeteer, { type Browser } from "puppeteer-core";

/** Debian's, or the one that the variable names; none is downloaded. */
export const firefoxPath: string | undefined = [
  process.env.LVSA_FIREFOX,
  "/usr/bin/firefox-esr",
  "/usr/bin/firefox",
].find((path) => path !== undefined && existsSync(path));

/** @param hasWebGpu on Linux it must be switched on */
export function startFirefox(hasWebGpu: boolean): Promise<Browser> {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: firefoxPath!,
    headless: true,
    extraPrefsFirefox: {
      "dom.webgpu.enabled": hasWebGpu,
      "dom.webgpu.workers.enabled": hasWebGpu,
      // Software drivers stand on its list of those that it does not trust.
      "gfx.webgpu.ignore-blocklist": true,
    },
  });
}
