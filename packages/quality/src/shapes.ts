/** Entry `@lvsa/quality/shapes`: the world of the demo model, drawn, described and read back. */
export { analyseClip, type Reading } from "./shapes/analyse.js";
export { captionOf, readCaption, type Wanted } from "./shapes/captions.js";
export { fitMotion, type MotionFit, type Place } from "./shapes/motion-fit.js";
export { isHeldOut, sampleScenes } from "./shapes/scenes.js";
export {
  BACKGROUND_NAMES,
  BACKGROUNDS,
  type BackgroundName,
  COLOR_NAMES,
  COLORS,
  type ColorName,
  drawClip,
  drawFrame,
  MOTIONS,
  type Motion,
  positionAt,
  type Rgb,
  type Scene,
  type SceneObject,
  SHAPES,
  type Shape,
  WORLD_SIZE,
  wayOf,
} from "./shapes/world.js";
