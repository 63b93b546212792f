import { program } from "../../tools/tsup/library.js";

export default program(["src/main.ts"]);
