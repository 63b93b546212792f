export { localVideoModel } from "./local-model.js";
