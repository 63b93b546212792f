// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const DIFFUSION_ERROR_CODES: Readonly<
  Record<DiffusionErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** the rendered chat has … tokens, of which the first … are the template */
  BAD_CHAT_TEMPLATE: { fault: "input" },
  /** the file holds no settings */
  BAD_CONFIG: { fault: "input" },
  /** … frames do not fit: the model makes …k+1 (1, …, …, ...). */
  BAD_FRAME_COUNT: { fault: "usage" },
  /** the image does not fit into memory on the way … */
  BAD_IMAGE: { fault: "input" },
  /** lora_adapter_metadata in the file's header is not JSON */
  BAD_JSON: { fault: "input" },
  /** the checkpoint is no folder that can be read, but … */
  BAD_OPTION: { fault: "usage" },
  /** the file is no run state that can be read: … */
  BAD_RUN_STATE: { fault: "input" },
  /** …: the model makes multiples of … pixels. */
  BAD_SIZE: { fault: "usage" },
  /** token id … is outside of … with … rows */
  BAD_TOKEN_ID: { fault: "input" },
  /** rank … is not one of … */
  COLLECTIVE_MISMATCH: { fault: "run" },
  ENGINE_DISPOSED: { fault: "run" },
  /** the frames of this result are read already, or being read */
  FRAMES_TAKEN: { fault: "run" },
  /** this checkpoint needs image embeddings, none were given, and it holds no image encoder to make them */
  IMAGE_EMBEDS_NEEDED: { fault: "usage" },
  /** … makes a video from …, and … was not given */
  IMAGE_NEEDED: { fault: "usage" },
  /** … makes videos from text only; an image was given (…) */
  IMAGE_UNSUPPORTED: { fault: "usage" },
  /** … holds … at element … */
  INPUT_NOT_FINITE: { fault: "usage" },
  /** … steps; expected a whole number of at least 1. */
  INVALID_STEPS: { fault: "usage" },
  /** … ranks; expected a whole number of at least 1 */
  INVALID_WORLD_SIZE: { fault: "input" },
  /** … are […], this clip needs […] */
  LATENTS_SHAPE: { fault: "usage" },
  LORA_INCOMPLETE: { fault: "input" },
  /** … and … are the same part of one module */
  LORA_UNKNOWN_KEY: { fault: "input" },
  /** … is […], … […] needs … */
  LORA_WRONG_SHAPE: { fault: "input" },
  /** … has no component …. */
  MISSING_COMPONENT: { fault: "input" },
  /** …: the processor returned no encoder stream */
  MISSING_STREAM: { fault: "run" },
  /** … is not among the weights that were read */
  MISSING_TENSOR: { fault: "input" },
  /** noise shape […] has size … */
  NOISE_SHAPE_INVALID: { fault: "input" },
  /** the model folder has no model_index.json */
  NOT_A_CHECKPOINT: { fault: "input" },
  /** … exports no `plugin` */
  NOT_A_PLUGIN: { fault: "input" },
  /** … of the … are not finite numbers… */
  NOT_FINITE: { fault: "run" },
  /** the checkpoint has no … */
  NOT_FOUND: { fault: "input" },
  /** the change of step … has no ratio to that of step …, in which the blocks left a token as it was */
  NO_RATIO: { fault: "run" },
  /** Cosmos 3: the prompt has no keys and values for layer … */
  NO_UNDERSTANDING: { fault: "run" },
  /** … (…) has … …, the transformer's … is …. */
  PARTS_DO_NOT_FIT: { fault: "input" },
  /** … is a pipeline of @lvsa/diffusion */
  PIPELINE_EXISTS: { fault: "input" },
  /** the plugin package … does not load */
  PLUGIN_NOT_FOUND: { fault: "input" },
  /** the process of rank 0, which leads the run, has ended */
  RANK_LOST: { fault: "run" },
  /** this run can not go on: … */
  RUN_CHANGED: { fault: "usage" },
  /** steps_offset … with … steps gives the timestep …; training had 0 to … */
  SCHEDULER_CONFIG_INVALID: { fault: "input" },
  /** the step needs "…", which an earlier step makes */
  SCHEDULER_HISTORY_MISSING: { fault: "run" },
  /** … with use_dynamic_shifting was given no mu */
  SCHEDULER_NEEDS_MU: { fault: "input" },
  /** this scheduler adds noise at every step and was given none */
  SCHEDULER_NEEDS_NOISE: { fault: "run" },
  /** …: … has … */
  SCHEDULER_NOT_FINITE: { fault: "input" },
  /** … does not support … */
  SCHEDULER_OPTION_UNSUPPORTED: { fault: "input" },
  /** step … came when step … was due */
  SCHEDULER_STEP_ORDER: { fault: "run" },
  /** step … of … planned steps */
  SCHEDULER_STEP_OUT_OF_RANGE: { fault: "run" },
  /** unknown scheduler: the checkpoint names … */
  SCHEDULER_UNKNOWN: { fault: "input" },
  /** seed: …, got … */
  SEED_INVALID: { fault: "usage" },
  /** AutoencoderKLCogVideoX: cannot encode frames of …x… */
  SHAPE_MISMATCH: { fault: "run" },
  /** … bytes for other ranks could not be written: … */
  SHARED_MEMORY_FULL: { fault: "run" },
  /** … sigmas for … steps */
  SIGMAS_INVALID: { fault: "input" },
  /** … inference steps; … takes 1 to … */
  STEPS_INVALID: { fault: "usage" },
  /** the tokenizer lacks an eos token or <|vision_start|> */
  TOKENIZER_INVALID: { fault: "input" },
  /** two files hold …: … and …. */
  TWO_COMPONENTS: { fault: "input" },
  /** no decoder is known by the name …. */
  UNKNOWN_CLASS: { fault: "input" },
  /** no model family is known by the name …. */
  UNKNOWN_FAMILY: { fault: "input" },
  /** the … tensors are of no model that is known; they begin with …. */
  UNKNOWN_FILE: { fault: "input" },
  /** the guider … is not supported */
  UNKNOWN_GUIDER: { fault: "input" },
  /** no model is known by the name …. */
  UNKNOWN_MODEL: { fault: "usage" },
  /** unknown transformer class …; known classes are …. */
  UNKNOWN_MODEL_CLASS: { fault: "input" },
  /** model_index.json names the class …, which is not supported */
  UNKNOWN_PIPELINE: { fault: "input" },
  /** … is not supported */
  UNSUPPORTED_CONFIG: { fault: "input" },
  /** … is held as …, not as numbers */
  UNSUPPORTED_DTYPE: { fault: "input" },
  /** the file given as … holds: …. */
  WRONG_COMPONENT: { fault: "input" },
  /** tensor … is …, expected F32, F16 or BF16 */
  WRONG_DTYPE: { fault: "input" },
};

export type DiffusionErrorCode =
  | "BAD_CHAT_TEMPLATE"
  | "BAD_CONFIG"
  | "BAD_FRAME_COUNT"
  | "BAD_IMAGE"
  | "BAD_JSON"
  | "BAD_OPTION"
  | "BAD_RUN_STATE"
  | "BAD_SIZE"
  | "BAD_TOKEN_ID"
  | "COLLECTIVE_MISMATCH"
  | "ENGINE_DISPOSED"
  | "FRAMES_TAKEN"
  | "IMAGE_EMBEDS_NEEDED"
  | "IMAGE_NEEDED"
  | "IMAGE_UNSUPPORTED"
  | "INPUT_NOT_FINITE"
  | "INVALID_STEPS"
  | "INVALID_WORLD_SIZE"
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
  | "NO_RATIO"
  | "NO_UNDERSTANDING"
  | "PARTS_DO_NOT_FIT"
  | "PIPELINE_EXISTS"
  | "PLUGIN_NOT_FOUND"
  | "RANK_LOST"
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
  | "SHARED_MEMORY_FULL"
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
