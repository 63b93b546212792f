import { library } from "../../tools/tsup/library.js";

export default library([
  "src/index.ts",
  "src/wan.ts",
  "src/hunyuan.ts",
  "src/cogvideox.ts",
  "src/cosmos3.ts",
  "src/catalog.ts",
  "src/rehearsal.ts",
  "src/node.ts",
]);
