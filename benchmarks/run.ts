// Both benchmarks: sparse against dense attention, and our kernels against other engines'. JSON on standard output,
// the comparison as a table on standard error.
// pnpm --filter @lvsa/benchmarks peers    installs the engines to compare with (once, about 300 MB)
// pnpm --filter @lvsa/benchmarks bench    Node 22.6 or newer, after `pnpm build`
import { benchAttention } from "@lvsa/core/bench";
import { createDevice } from "@lvsa/runtime/node";
import { benchPeers } from "./bench-peers.ts";
import { peerTable } from "./table.ts";

const device = await createDevice({ onNotice: (line) => console.error(line) });
const peers = await benchPeers(device);
console.error(peerTable(peers));
const sparse = await benchAttention(device);
console.log(JSON.stringify({ peers, sparse }, null, 2));
device.dispose();
// Dawn and onnxruntime keep threads that would hold the process open.
process.exit();
