import { library } from "../../tools/tsup/library.js";

export default library();
