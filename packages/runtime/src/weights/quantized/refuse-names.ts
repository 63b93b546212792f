/** What the names of a file's tensors tell at once: adapters, and quantization that is packed or needs code of its own. */
import { quoted } from "../../printable.js";
import { weightsError } from "../header.js";
import type { WeightSource } from "../weight-source.js";
import { PLAIN_WEIGHTS_FIX } from "./refuse-config.js";

/** Packed layouts, by a tensor that each of them has. */
const PACKED: readonly (readonly [RegExp, string])[] = [
  [/\.quant_state\.bitsandbytes__(nf4|fp4)$/, "bitsandbytes (4 bit)"],
  [/\.(absmax|nested_absmax|quant_map|nested_quant_map)$/, "bitsandbytes (4 bit)"],
  [/(^|\.)weight_scale_2$/, "NVFP4"],
  [/(^|\.)(wscales|wtscale|smooth_factor)$/, "SVDQuant (Nunchaku)"],
  [/(^|\.)(qzeros|g_idx)$/, "GPTQ or AWQ"],
  [/(^|\.)qweight$/, "a packed format (GPTQ, AWQ or SVDQuant)"],
  [/(^|\.)(weight_packed|weight_shape)$/, "compressed-tensors (packed)"],
  [/\._data\._data$|\._shift$/, "quanto in 2 or 4 bits"],
  [/(^|\.)W_q$/, "HQQ"],
  [/(^|\.)weight:?_?qdata$/, "torchao"],
  [/(^|\.)(weight_zero_point|zero_point)$/, "zero points (asymmetric codes)"],
  [/(^|\.)pre_quant_scale$/, "scales for activations (AWQ or SmoothQuant)"],
];

/** Names that PEFT, diffusers, kohya and LyCORIS give to the tensors of an adapter. */
const ADAPTER = new RegExp(
  [
    /(^|[._])lora_(A|B|E|down|up|mid|embedding_A|embedding_B|magnitude_vector)([._]|$)/,
    /^lora_(unet|transformer|te\d?)_/,
    /(^|\.)base_layer\./,
    /(^|\.)(hada_w\d_[ab]|hada_t\d|lokr_w\d(_[ab])?|lokr_t2|dora_scale|oft_blocks|oft_R|ia3_l)([._]|$)/,
  ]
    .map((part) => part.source)
    .join("|"),
);

/**
 * @throws WeightsError `ADAPTER_IN_WEIGHTS`: a LoRA is part of the weights, so that reading the rest alone would give
 *   another model; `UNSUPPORTED_QUANTIZATION`
 */
export function refuseByNames(source: WeightSource): void {
  const names = source.names();
  const adapters = names.filter((name) => ADAPTER.test(name));
  if (adapters.length > 0) {
    throw weightsError(
      "ADAPTER_IN_WEIGHTS",
      `${adapters.length} of ${names.length} tensors belong to a LoRA or another adapter, the first is ${quoted(adapters[0])}.`,
      {
        where: source.info(adapters[0]!).file,
        fix:
          "Use the checkpoint without it, or merge it and save again: in diffusers pipe.fuse_lora(), " +
          "pipe.unload_lora_weights(), pipe.save_pretrained(folder, safe_serialization=True).",
      },
    );
  }
  for (const name of names) {
    const format = PACKED.find(([pattern]) => pattern.test(name))?.[1];
    if (format !== undefined) throw unsupported(source, name, format);
  }
}

/** The refusal of a format, at one of its tensors. */
export function unsupported(source: WeightSource, name: string, format: string): Error {
  return weightsError(
    "UNSUPPORTED_QUANTIZATION",
    `the weights are quantized with ${format}, which can not be read; ${quoted(name)} (${source.info(name).dtype}) shows it.`,
    { where: source.info(name).file, fix: PLAIN_WEIGHTS_FIX },
  );
}
