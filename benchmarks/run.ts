// Both benchmarks as JSON: sparse against dense attention, and our kernels against other engines'.
// pnpm --filter @lvsa/benchmarks peers    installs the engines to compare with (once, about 300 MB)
// pnpm --filter @lvsa/benchmarks bench    Node 22.6 or newer, after `pnpm build`
import { benchAttention } from "@lvsa/core/bench";
import { createDevice } from "@lvsa/runtime/node";
import { benchPeers } from "./bench-peers.ts";

const device = await createDevice({ onNotice: (line) => console.error(line) });
const sparse = await benchAttention(device);
const peers = await benchPeers(device);
console.log(JSON.stringify({ sparse, peers }, null, 2));
device.dispose();
