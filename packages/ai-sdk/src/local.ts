export { type LocalModelOptions, localVideoModel } from "./local-model.js";
