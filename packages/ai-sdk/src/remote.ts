/** A server of `@lvsa/server`, or another that speaks OpenAI's videos API, as a provider of the AI SDK. */
import {
  APICallError,
  type Experimental_VideoModelV3 as VideoModelV3,
  type Experimental_VideoModelV3CallOptions as VideoModelV3CallOptions,
  type Experimental_VideoModelV3File as VideoModelV3File,
} from "@ai-sdk/provider";
import { AbortError, checkOptionKinds, type OptionKinds, pause, throwIfAborted } from "@lvsa/runtime/errors";
import * as z from "zod";
import { badOption, planCall } from "./options.js";

export interface LvsaProviderSettings {
  /** Default `http://127.0.0.1:8787/v1`. */
  readonly baseURL?: string;
  /** Default: the variable `LVSA_API_KEY`. */
  readonly apiKey?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: the platform's. */
  readonly fetch?: typeof fetch;
  /** How often a video is looked after; default 1 s. */
  readonly pollMs?: number;
}

export interface LvsaProvider {
  /** @param modelId a name that the server gives a checkpoint, e.g. `wan` */
  video(modelId: string): VideoModelV3;
}

const videoSchema = z.object({
  id: z.string(),
  status: z.enum(["queued", "in_progress", "completed", "failed"]),
  progress: z.number(),
  seconds: z.string(),
  size: z.string(),
  error: z.object({ code: z.string().nullable(), message: z.string() }).nullable(),
});
const errorSchema = z.object({ error: z.object({ message: z.string() }) });

const SETTING_KINDS: OptionKinds<LvsaProviderSettings> = {
  ...{ baseURL: "string", apiKey: "string", headers: "object", fetch: "function", pollMs: "number" },
};

/** @throws UsageError `BAD_OPTION` for settings that are unknown or of another kind */
export function createLvsa(settings: LvsaProviderSettings = {}): LvsaProvider {
  checkOptionKinds(SETTING_KINDS, settings, "createLvsa");
  return { video: (modelId) => new RemoteVideoModel(modelId, settings) };
}

class RemoteVideoModel implements VideoModelV3 {
  readonly specificationVersion = "v3";
  readonly provider = "lvsa";
  readonly maxVideosPerCall = 1;
  readonly modelId: string;
  readonly #settings: LvsaProviderSettings;

  constructor(modelId: string, settings: LvsaProviderSettings) {
    this.modelId = modelId;
    this.#settings = settings;
  }

  /** @throws APICallError with the server's own words; AbortError, after the server was told to stop */
  async doGenerate(call: VideoModelV3CallOptions): Promise<Awaited<ReturnType<VideoModelV3["doGenerate"]>>> {
    const plan = planCall(call);
    const { options, size, image } = plan;
    const fields = {
      model: this.modelId,
      prompt: plan.prompt,
      seconds: options.numFrames === undefined ? plan.duration : undefined,
      num_frames: options.numFrames,
      size: size && `${size.width}x${size.height}`,
      fps: plan.fps,
      seed: plan.seed,
      negative_prompt: options.negativePrompt,
      num_inference_steps: options.numInferenceSteps,
      guidance_scale: options.guidanceScale,
      flow_shift: options.flowShift,
      lvsa: options.lvsa,
      input_reference: image && { image_url: dataAddress(image) },
    };
    const { abortSignal: signal } = call;
    const ask = (path: string, init: RequestInit = {}) => this.#ask(path, call, init);
    const answer = await ask("/videos", {
      method: "POST",
      body: JSON.stringify(fields),
      headers: { "content-type": "application/json" },
    });
    const headers = headersOf(answer);
    let video = videoSchema.parse(await answer.json());
    const path = `/videos/${encodeURIComponent(video.id)}`;
    try {
      while (video.status === "queued" || video.status === "in_progress") {
        await pause(this.#settings.pollMs ?? 1000, signal);
        throwIfAborted(signal, "the video");
        video = videoSchema.parse(await (await ask(path)).json());
      }
    } catch (error) {
      // Nobody waits for it any more.
      if (signal?.aborted)
        await this.#ask(path, call.headers ? { headers: call.headers } : {}, { method: "DELETE" }).catch(
          () => {},
        );
      if (signal?.aborted && !(error instanceof AbortError)) throwIfAborted(signal, "the video");
      throw error;
    }
    if (video.status === "failed")
      throw new APICallError({
        message: video.error?.message ?? "the video failed",
        url: this.#address(path),
        requestBodyValues: fields,
        isRetryable: false,
        data: video.error,
      });
    const content = await ask(`${path}/content`);
    const data = new Uint8Array(await content.arrayBuffer());
    const { id, seconds } = video;
    return {
      videos: [{ type: "binary", data, mediaType: "video/mp4" }],
      warnings: plan.warnings,
      response: { timestamp: new Date(), modelId: this.modelId, headers },
      providerMetadata: { lvsa: { videos: [{ id, seconds: Number(seconds), size: video.size }] } },
    };
  }

  async #ask(
    path: string,
    call: Pick<VideoModelV3CallOptions, "abortSignal" | "headers">,
    init: RequestInit,
  ) {
    const { apiKey = processVariable("LVSA_API_KEY"), headers = {}, fetch: get = fetch } = this.#settings;
    const given = Object.entries(call.headers ?? {}).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    const url = this.#address(path);
    const response = await get(url, {
      ...init,
      headers: {
        ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}),
        ...headers,
        ...(init.headers as Record<string, string> | undefined),
        ...Object.fromEntries(given),
      },
      ...(call.abortSignal ? { signal: call.abortSignal } : {}),
    });
    if (response.ok) return response;
    const responseBody = await response.text();
    const words = errorSchema.safeParse(parseJson(responseBody));
    throw new APICallError({
      message: words.success ? words.data.error.message : `the server answered ${response.status}`,
      url,
      requestBodyValues: init.body ?? {},
      statusCode: response.status,
      responseHeaders: headersOf(response),
      responseBody,
    });
  }

  #address(path: string): string {
    return `${(this.#settings.baseURL ?? "http://127.0.0.1:8787/v1").replace(/\/+$/, "")}${path}`;
  }
}

function dataAddress(file: VideoModelV3File): string {
  if (file.type === "url") {
    if (file.url.startsWith("data:")) return file.url;
    throw badOption("an image at an address: give its bytes, the server fetches nothing");
  }
  const data = typeof file.data === "string" ? file.data : base64(file.data);
  return `data:${file.mediaType};base64,${data}`;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  // Arguments of one call are limited.
  for (let i = 0; i < bytes.length; i += 0x8000)
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

function headersOf(response: Response): Record<string, string> {
  const headers: Record<string, string> = {};
  response.headers.forEach((value, name) => {
    headers[name] = value;
  });
  return headers;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Browsers have none. */
function processVariable(name: string): string | undefined {
  return (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.[name];
}
