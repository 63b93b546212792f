import { library } from "../../tools/tsup/library.js";

export default library([
  "src/index.ts",
  "src/errors.ts",
  "src/node-import.ts",
  "src/node.ts",
  "src/testing.ts",
]);
