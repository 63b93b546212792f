// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const DIFFUSION_ERROR_CODES: Readonly<Record<DiffusionErrorCode, { readonly usage: boolean }>> = {
  /** the rendered chat has … tokens, of which the first … are the template */
  BAD_CHAT_TEMPLATE: { usage: false },
  /** the file holds no settings */
  BAD_CONFIG: { usage: false },
  /** … frames do not fit: the model makes …k+1 (1, …, …, ...). */
  BAD_FRAME_COUNT: { usage: true },
  /** … is not JSON: … */
  BAD_JSON: { usage: false },
  /** loras: …: … */
  BAD_OPTION: { usage: true },
  /** the file is no run state that can be read: … */
  BAD_RUN_STATE: { usage: false },
  /** …: the model makes multiples of … pixels. */
  BAD_SIZE: { usage: true },
  /** token id … is outside of … with … rows */
  BAD_TOKEN_ID: { usage: false },
  ENGINE_DISPOSED: { usage: false },
  /** the frames of this result are read already, or being read */
  FRAMES_TAKEN: { usage: false },
  /** this checkpoint needs image embeddings, none were given, and it holds no image encoder to make them */
  IMAGE_EMBEDS_NEEDED: { usage: true },
  /** … makes a video from …, and … was not given */
  IMAGE_NEEDED: { usage: true },
  /** … makes videos from text only; an image was given (…) */
  IMAGE_UNSUPPORTED: { usage: true },
  /** … holds … at element … */
  INPUT_NOT_FINITE: { usage: true },
  /** … steps; expected a whole number of at least 1. */
  INVALID_STEPS: { usage: true },
  /** … are […], this clip needs […] */
  LATENTS_SHAPE: { usage: true },
  LORA_INCOMPLETE: { usage: false },
  /** … and … are the same part of one module */
  LORA_UNKNOWN_KEY: { usage: false },
  /** … is […], … […] needs … */
  LORA_WRONG_SHAPE: { usage: false },
  /** … has no component …. */
  MISSING_COMPONENT: { usage: false },
  /** …: the processor returned no encoder stream */
  MISSING_STREAM: { usage: false },
  /** … is not among the weights that were read */
  MISSING_TENSOR: { usage: false },
  /** noise shape […] has size … */
  NOISE_SHAPE_INVALID: { usage: false },
  /** the model folder has no model_index.json */
  NOT_A_CHECKPOINT: { usage: false },
  /** … exports no `plugin` */
  NOT_A_PLUGIN: { usage: false },
  /** … of the … are not finite numbers… */
  NOT_FINITE: { usage: false },
  /** the checkpoint has no … */
  NOT_FOUND: { usage: false },
  /** Cosmos 3: the prompt has no keys and values for layer … */
  NO_UNDERSTANDING: { usage: false },
  /** … (…) has … …, the transformer's … is …. */
  PARTS_DO_NOT_FIT: { usage: false },
  /** … is a pipeline of @lvsa/diffusion */
  PIPELINE_EXISTS: { usage: false },
  /** the plugin package … does not load */
  PLUGIN_NOT_FOUND: { usage: false },
  /** this run can not go on: … */
  RUN_CHANGED: { usage: true },
  /** steps_offset … with … steps gives the timestep …; training had 0 to … */
  SCHEDULER_CONFIG_INVALID: { usage: false },
  /** the step needs "…", which an earlier step makes */
  SCHEDULER_HISTORY_MISSING: { usage: false },
  /** … with use_dynamic_shifting was given no mu */
  SCHEDULER_NEEDS_MU: { usage: false },
  /** this scheduler adds noise at every step and was given none */
  SCHEDULER_NEEDS_NOISE: { usage: false },
  /** …: … has … */
  SCHEDULER_NOT_FINITE: { usage: false },
  /** … does not support … */
  SCHEDULER_OPTION_UNSUPPORTED: { usage: false },
  /** step … came when step … was due */
  SCHEDULER_STEP_ORDER: { usage: false },
  /** step … of … planned steps */
  SCHEDULER_STEP_OUT_OF_RANGE: { usage: false },
  /** unknown scheduler: the configuration names … */
  SCHEDULER_UNKNOWN: { usage: false },
  /** seed: …, got … */
  SEED_INVALID: { usage: true },
  /** AutoencoderKLCogVideoX: cannot encode frames of …x… */
  SHAPE_MISMATCH: { usage: false },
  /** … sigmas for … steps */
  SIGMAS_INVALID: { usage: false },
  /** … inference steps; … takes 1 to … */
  STEPS_INVALID: { usage: true },
  /** the tokenizer lacks an eos token or <|vision_start|> */
  TOKENIZER_INVALID: { usage: false },
  /** two files hold …: … and …. */
  TWO_COMPONENTS: { usage: false },
  /** no decoder is known by the name …. */
  UNKNOWN_CLASS: { usage: false },
  /** no model family is known by the name …. */
  UNKNOWN_FAMILY: { usage: false },
  /** the … tensors are of no model that is known; they begin with …. */
  UNKNOWN_FILE: { usage: false },
  /** the guider … is not supported */
  UNKNOWN_GUIDER: { usage: false },
  /** no model is known by the name …. */
  UNKNOWN_MODEL: { usage: true },
  /** unknown transformer class …; known classes are …. */
  UNKNOWN_MODEL_CLASS: { usage: false },
  /** model_index.json names the class …, which is not supported */
  UNKNOWN_PIPELINE: { usage: false },
  /** … is not supported */
  UNSUPPORTED_CONFIG: { usage: false },
  /** … is held as …, not as numbers */
  UNSUPPORTED_DTYPE: { usage: false },
  /** the file given as … holds: …. */
  WRONG_COMPONENT: { usage: false },
  /** tensor … is …, expected F32, F16 or BF16 */
  WRONG_DTYPE: { usage: false },
};

export type DiffusionErrorCode =
  | "BAD_CHAT_TEMPLATE"
  | "BAD_CONFIG"
  | "BAD_FRAME_COUNT"
  | "BAD_JSON"
  | "BAD_OPTION"
  | "BAD_RUN_STATE"
  | "BAD_SIZE"
  | "BAD_TOKEN_ID"
  | "ENGINE_DISPOSED"
  | "FRAMES_TAKEN"
  | "IMAGE_EMBEDS_NEEDED"
  | "IMAGE_NEEDED"
  | "IMAGE_UNSUPPORTED"
  | "INPUT_NOT_FINITE"
  | "INVALID_STEPS"
  | "LATENTS_SHAPE"
  | "LORA_INCOMPLETE"
  | "LORA_UNKNOWN_KEY"
  | "LORA_WRONG_SHAPE"
  | "MISSING_COMPONENT"
  | "MISSING_STREAM"
  | "MISSING_TENSOR"
  | "NOISE_SHAPE_INVALID"
  | "NOT_A_CHECKPOINT"
  | "NOT_A_PLUGIN"
  | "NOT_FINITE"
  | "NOT_FOUND"
  | "NO_UNDERSTANDING"
  | "PARTS_DO_NOT_FIT"
  | "PIPELINE_EXISTS"
  | "PLUGIN_NOT_FOUND"
  | "RUN_CHANGED"
  | "SCHEDULER_CONFIG_INVALID"
  | "SCHEDULER_HISTORY_MISSING"
  | "SCHEDULER_NEEDS_MU"
  | "SCHEDULER_NEEDS_NOISE"
  | "SCHEDULER_NOT_FINITE"
  | "SCHEDULER_OPTION_UNSUPPORTED"
  | "SCHEDULER_STEP_ORDER"
  | "SCHEDULER_STEP_OUT_OF_RANGE"
  | "SCHEDULER_UNKNOWN"
  | "SEED_INVALID"
  | "SHAPE_MISMATCH"
  | "SIGMAS_INVALID"
  | "STEPS_INVALID"
  | "TOKENIZER_INVALID"
  | "TWO_COMPONENTS"
  | "UNKNOWN_CLASS"
  | "UNKNOWN_FAMILY"
  | "UNKNOWN_FILE"
  | "UNKNOWN_GUIDER"
  | "UNKNOWN_MODEL"
  | "UNKNOWN_MODEL_CLASS"
  | "UNKNOWN_PIPELINE"
  | "UNSUPPORTED_CONFIG"
  | "UNSUPPORTED_DTYPE"
  | "WRONG_COMPONENT"
  | "WRONG_DTYPE";
