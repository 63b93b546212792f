#!/usr/bin/env node
import { nodeTooOld } from "./node-version.js";

// Before anything is loaded that an older Node can not read.
const tooOld = nodeTooOld(process.versions.node);
if (tooOld) {
  process.stderr.write(`error: ${tooOld}\n`);
  process.exit(2);
}
const { runProcess } = await import("./run-process.js");
await runProcess(process.argv.slice(2));
