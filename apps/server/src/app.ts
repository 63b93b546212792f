/** The server as an application: requests in, answers out. It makes no video; workers take the jobs from the queue. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { OpenAPIHono } from "@hono/zod-openapi";
import { isFinished, type JobQueue, type JobRecord, newJobId, type VideoRequest } from "@lvsa/jobs";
import { PREVIEW_FILE } from "@lvsa/jobs/node";
import { checkOptionKinds, type OptionKinds } from "@lvsa/runtime/errors";
import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { streamSSE } from "hono/streaming";
import { fileResponse, previewResponse, previewTime } from "./content.js";
import { asHttpError, HttpError, responseOf } from "./http-error.js";
import { Keys } from "./keys.js";
import { Metrics } from "./metrics.js";
import { checkRequest, type RequestLimits, type ServedModel } from "./models.js";
import { describeApi } from "./openapi.js";
import { PAGE, PAGE_POLICY } from "./page.js";
import { readBody } from "./read-body.js";
import { createSchema, remixSchema, requestOf, videoOf } from "./wire.js";

export interface Limits extends RequestLimits {
  /** Bytes of a request, images included. */
  readonly maxBodyBytes: number;
  /** Jobs of one key that wait or run. */
  readonly maxOpenJobs: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxPromptLength: 20_000,
  maxPixels: 1280 * 720 * 1000,
  maxSteps: 200,
  maxBodyBytes: 20 << 20,
  maxOpenJobs: 100,
};

export interface AppOptions {
  readonly queue: JobQueue;
  /** The first one is the default. */
  readonly models: readonly ServedModel[];
  /** Jobs' folders lie in it, as the workers see them. */
  readonly workspace: string;
  /** See `Keys`. */
  readonly keys?: readonly string[];
  readonly limits?: Partial<Limits>;
  readonly version?: string;
  /** Hears of errors that nobody meant. */
  readonly onError?: (error: unknown) => void;
}

const APP_KINDS: OptionKinds<AppOptions> = {
  ...{ queue: "object", models: "array", workspace: "string", keys: "array", limits: "object" },
  ...{ version: "string", onError: "function" },
};
const LIMIT_KINDS: OptionKinds<Limits> = {
  ...{ maxPromptLength: "number", maxPixels: "number", maxSteps: "number", maxBodyBytes: "number" },
  maxOpenJobs: "number",
};

/** @throws UsageError `BAD_OPTION` */
export function checkLimits(limits: Partial<Limits> | undefined): void {
  if (limits !== undefined) checkOptionKinds<Partial<Limits>>(LIMIT_KINDS, limits, "limits");
}

const JOB_ID = /^video_[a-z0-9]{1,60}$/;
const EVENT_MS = 500;

/** @throws UsageError `BAD_OPTION` for options and limits that are unknown or of another kind */
export function createApp(options: AppOptions): OpenAPIHono {
  checkOptionKinds(APP_KINDS, options, "createApp");
  checkLimits(options.limits);
  const { queue, workspace } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const keys = new Keys(options.keys ?? []);
  const metrics = new Metrics();
  const models = new Map(options.models.map((model) => [model.name, model]));
  const app = new OpenAPIHono();

  const show = async (job: JobRecord) => {
    const time = isFinished(job) ? undefined : await previewTime(previewOf(job.id));
    const url = time === undefined ? null : `/v1/videos/${job.id}/preview?at=${time}`;
    return videoOf(job, models.get(job.request.model), url);
  };
  const owner = (c: Context) => keys.owner(c.req.raw.headers);
  const idOf = (c: Context) => {
    const id = c.req.param("id") ?? "";
    if (!JOB_ID.test(id)) throw notFound(id);
    return id;
  };
  const find = async (c: Context): Promise<JobRecord> => {
    const id = idOf(c);
    const job = await queue.get(id, owner(c));
    if (!job) throw notFound(id);
    return job;
  };
  const folderOf = (id: string) => resolve(join(workspace, id));
  const previewOf = (id: string) => join(folderOf(id), PREVIEW_FILE);

  async function add(
    owner: string,
    request: VideoRequest,
    more: { image?: { bytes: Uint8Array; name: string } | undefined; remixedFrom?: string },
  ): Promise<JobRecord> {
    const model = models.get(request.model);
    if (!model) throw unknownModel(request.model, models);
    checkRequest(request, model, limits);
    if (more.image && model.task !== "image-to-video")
      throw new HttpError(400, "image_unsupported", `${model.name} makes videos from text only.`, {
        param: "input_reference",
      });
    const counts = await queue.counts(owner);
    if (counts.queued + counts.in_progress >= limits.maxOpenJobs)
      throw new HttpError(429, "too_many_jobs", `${limits.maxOpenJobs} videos wait or are in progress.`, {
        headers: { "retry-after": "10" },
      });
    const id = newJobId();
    // What the job needs is there before a worker can have it.
    if (more.image) {
      await mkdir(folderOf(id), { recursive: true });
      await writeFile(join(folderOf(id), more.image.name), more.image.bytes);
    }
    const { remixedFrom } = more;
    return queue.add({
      id,
      owner,
      request: { ...request, ...(more.image ? { image: more.image.name } : {}) },
      ...(remixedFrom === undefined ? {} : { remixedFrom }),
    });
  }

  app.use(async (c, next) => {
    await next();
    metrics.countRequest(c.req.method, c.req.routePath, c.res.status);
    c.res.headers.set("x-content-type-options", "nosniff");
  });
  app.onError((error) => {
    if (asHttpError(error).status === 500) options.onError?.(error);
    return responseOf(error);
  });
  app.notFound((c) => responseOf(new HttpError(404, "not_found", `There is nothing at ${c.req.path}.`)));
  app.use(
    "/v1/*",
    bodyLimit({
      maxSize: limits.maxBodyBytes,
      onError: () =>
        responseOf(new HttpError(413, "body_too_large", `At most ${limits.maxBodyBytes} bytes are taken.`)),
    }),
  );

  app.post("/v1/videos", async (c) => {
    const who = owner(c);
    const { fields, image } = await readBody(c.req.raw);
    const body = createSchema.parse(fields);
    const model = models.get(body.model ?? options.models[0]?.name ?? "");
    if (!model) throw unknownModel(body.model ?? "", models);
    return c.json(await show(await add(who, requestOf(body, model), { image })));
  });

  app.get("/v1/videos", async (c) => {
    const { after, limit, order } = c.req.query();
    const size = limit === undefined ? 20 : Number(limit);
    if (!Number.isInteger(size) || size < 1 || size > 100)
      throw new HttpError(400, "bad_request", "limit: expected a whole number from 1 to 100", {
        param: "limit",
      });
    if (order !== undefined && order !== "asc" && order !== "desc")
      throw new HttpError(400, "bad_request", "order: expected asc or desc", { param: "order" });
    const who = owner(c);
    if (after !== undefined && !(await queue.get(after, who)))
      throw new HttpError(
        400,
        "bad_request",
        `after: there is no video ${JSON.stringify(after.slice(0, 80))}`,
        {
          param: "after",
        },
      );
    const page = await queue.list(who, {
      limit: size,
      ...(after === undefined ? {} : { after }),
      ...(order === undefined ? {} : { order }),
    });
    const data = await Promise.all(page.jobs.map(show));
    return c.json({
      object: "list",
      data,
      has_more: page.hasMore,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
    });
  });

  app.get("/v1/videos/:id", async (c) => c.json(await show(await find(c))));

  app.delete("/v1/videos/:id", async (c) => {
    const job = await find(c);
    await queue.remove(job.id, job.owner);
    // A running worker still has its folder; it is told to stop, and the folder goes with the next deletion of its kind.
    await rm(folderOf(job.id), { recursive: true, force: true });
    return c.json({ id: job.id, object: "video.deleted", deleted: true });
  });

  app.post("/v1/videos/:id/cancel", async (c) => {
    const job = await find(c);
    return c.json(await show((await queue.cancel(job.id, job.owner)) ?? job));
  });

  app.post("/v1/videos/:id/remix", async (c) => {
    const from = await find(c);
    const { prompt } = remixSchema.parse((await readBody(c.req.raw)).fields);
    if (from.request.image !== undefined)
      throw new HttpError(400, "remix_unsupported", "A video that began with an image can not be remixed.");
    return c.json(await show(await add(from.owner, { ...from.request, prompt }, { remixedFrom: from.id })));
  });

  app.get("/v1/videos/:id/content", async (c) => {
    const job = await find(c);
    const variant = c.req.query("variant") ?? "video";
    if (variant !== "video")
      throw new HttpError(400, "bad_request", `variant: this server has no ${variant}`, { param: "variant" });
    if (!job.result)
      throw new HttpError(
        404,
        "not_ready",
        `The video is ${videoOf(job, undefined, null).status}; there is no content.`,
      );
    return fileResponse(join(folderOf(job.id), job.result.file), c.req.raw, "video/mp4", `${job.id}.mp4`);
  });

  app.get("/v1/videos/:id/preview", async (c) => previewResponse(previewOf((await find(c)).id)));

  app.get("/v1/videos/:id/events", async (c) => {
    const first = await find(c);
    return streamSSE(c, async (stream) => {
      let last = "";
      for (let job: JobRecord | undefined = first; job && !stream.aborted; ) {
        const data = JSON.stringify(await show(job));
        if (data !== last) await stream.writeSSE({ event: "video", data });
        last = data;
        if (isFinished(job)) return;
        await stream.sleep(EVENT_MS);
        job = await queue.get(job.id, job.owner);
      }
      if (!stream.aborted)
        await stream.writeSSE({ event: "deleted", data: JSON.stringify({ id: first.id }) });
    });
  });

  app.get("/v1/models", (c) => {
    owner(c);
    const data = options.models.map(({ name }) => ({
      id: name,
      object: "model",
      created: 0,
      owned_by: "lvsa",
    }));
    return c.json({ object: "list", data });
  });

  app.get("/health", async (c) => {
    await queue.counts("");
    return c.json({ status: "ok", version: options.version ?? null });
  });
  app.get("/metrics", async (c) => c.text(metrics.text(await queue.counts())));
  app.get("/", (c) => {
    c.header("content-security-policy", PAGE_POLICY);
    return c.html(PAGE);
  });
  describeApi(app, options.version ?? "0.0.0");
  return app;
}

function notFound(id: string): HttpError {
  return new HttpError(404, "not_found", `There is no video ${JSON.stringify(id.slice(0, 80))}.`, {
    param: "id",
  });
}

function unknownModel(name: string, models: ReadonlyMap<string, ServedModel>): HttpError {
  const names = [...models.keys()].join(", ");
  return new HttpError(
    400,
    "model_not_found",
    `There is no model ${JSON.stringify(name.slice(0, 80))} here; there is ${names}.`,
    {
      param: "model",
    },
  );
}
