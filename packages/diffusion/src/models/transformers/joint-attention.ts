/**
 * Attention over a video and an encoder (text) stream together, as HunyuanVideo and CogVideoX have it. The streams
 * stay two tensors: each asks with its own queries, and both look at the video's keys and at the encoder's. Rotary
 * embedding is on the video stream alone.
 */
import type {
  AttendedStreams,
  AttentionCall,
  AttentionModule,
  AttentionResult,
  BackendRunner,
  OutputEpilogue,
  Projected,
  ProjectedStreams,
  RotaryTables,
} from "@lvsa/core";
import { type Device, linear, rotary, type Tensor } from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";

export abstract class JointAttention implements AttentionModule {
  readonly name: string;
  readonly index: number;
  readonly role = "joint";
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly causal = false;
  protected readonly parameters: Parameters;

  constructor(name: string, index: number, heads: number, headDim: number, parameters: Parameters) {
    this.name = name;
    this.index = index;
    this.heads = heads;
    this.keyValueHeads = heads;
    this.headDim = headDim;
    this.scale = headDim ** -0.5;
    this.parameters = parameters;
  }

  abstract project(call: AttentionCall): Projected;

  /** Q, K, V of a present, not empty encoder stream. */
  protected abstract projectText(call: AttentionCall, encoder: Tensor): Projected;

  /** Name of a stream's output projection. */
  protected abstract outputLayer(stream: "video" | "encoder"): string;

  projectEncoder(call: AttentionCall): Projected | undefined {
    const encoder = call.encoderHiddenStates;
    return encoder && encoder.dim(1) > 0 ? this.projectText(call, encoder) : undefined;
  }

  rotate(streams: Projected, tables: RotaryTables | undefined): void {
    if (!tables) return;
    const device: Device = this.parameters.device;
    rotary(device, streams.query, tables.cos, tables.sin, { style: "interleaved" });
    rotary(device, streams.key, tables.cos, tables.sin, { style: "interleaved" });
  }

  attend(call: AttentionCall, streams: ProjectedStreams, run: BackendRunner): AttendedStreams {
    const { encoder } = streams;
    const common = {
      device: call.device,
      module: this,
      role: this.role,
      scale: this.scale,
      causal: false,
      key: streams.key,
      value: streams.value,
      ...(encoder ? { contextKey: encoder.key, contextValue: encoder.value } : {}),
      ...(call.step ? { step: call.step } : {}),
    };
    const geometry = call.geometry ? { geometry: call.geometry } : {};
    const hidden = run({ ...common, ...geometry, query: streams.query });
    return encoder ? { hidden, encoder: run({ ...common, query: encoder.query }) } : { hidden };
  }

  output(call: AttentionCall, attended: AttendedStreams): AttentionResult {
    const hiddenStates = this.#output(call, attended.hidden, "video", call.epilogue);
    if (!attended.encoder) return { hiddenStates };
    const encoder = this.#output(call, attended.encoder, "encoder", call.encoderEpilogue);
    return { hiddenStates, encoderHiddenStates: encoder };
  }

  /** A linear layer by name, split into heads `[B, S, H, D]`. */
  protected projectHeads(call: AttentionCall, x: Tensor, name: string): Tensor {
    const p = this.parameters;
    const flat = linear(call.device, x, p.get(`${name}.weight`), { bias: p.optional(`${name}.bias`) });
    return flat.reshape([x.dim(0), x.dim(1), this.heads, this.headDim]);
  }

  #output(
    call: AttentionCall,
    x: Tensor,
    stream: "video" | "encoder",
    epilogue: OutputEpilogue | undefined,
  ): Tensor {
    const p = this.parameters;
    const name = this.outputLayer(stream);
    const flat = x.reshape([x.dim(0), x.dim(1), this.heads * this.headDim]);
    return linear(call.device, flat, p.get(`${name}.weight`), {
      bias: p.get(`${name}.bias`),
      ...(epilogue ? { ...epilogue, outDtype: "f32" } : {}),
    });
  }
}
