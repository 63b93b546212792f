/** The document at /openapi.json. */
import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { createSchema, errorSchema, remixSchema, videoSchema } from "./wire.js";

const id = z.object({ id: z.string() });
const json = (schema: z.ZodType, description: string) => ({
  description,
  content: { "application/json": { schema } },
});
const failure = { default: json(errorSchema, "what is wrong") };
const video = { 200: json(videoSchema, "the video"), ...failure };
const security = [{ key: [] }];

export function describeApi(app: OpenAPIHono, version: string): void {
  const registry = app.openAPIRegistry;
  registry.registerComponent("securitySchemes", "key", { type: "http", scheme: "bearer" });
  const page = z.object({
    object: z.literal("list"),
    data: z.array(videoSchema),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });
  const query = z.object({
    after: z.string().optional(),
    limit: z.coerce.number().int().min(1).max(100).optional(),
    order: z.enum(["asc", "desc"]).optional(),
  });
  const deleted = z.object({ id: z.string(), object: z.literal("video.deleted"), deleted: z.literal(true) });
  const form = createSchema.extend({ input_reference: z.string().openapi({ format: "binary" }).optional() });
  const routes = [
    createRoute({
      method: "post",
      path: "/v1/videos",
      summary: "Begin a video",
      security,
      request: {
        body: {
          required: true,
          content: { "application/json": { schema: createSchema }, "multipart/form-data": { schema: form } },
        },
      },
      responses: video,
    }),
    createRoute({
      method: "get",
      path: "/v1/videos",
      summary: "List videos",
      security,
      request: { query },
      responses: { 200: json(page, "a page of videos"), ...failure },
    }),
    createRoute({
      method: "get",
      path: "/v1/videos/{id}",
      summary: "How far a video is",
      security,
      request: { params: id },
      responses: video,
    }),
    createRoute({
      method: "delete",
      path: "/v1/videos/{id}",
      summary: "Stop a video and forget it",
      security,
      request: { params: id },
      responses: { 200: json(deleted, "it is gone"), ...failure },
    }),
    createRoute({
      method: "post",
      path: "/v1/videos/{id}/cancel",
      summary: "Stop a video",
      security,
      request: { params: id },
      responses: video,
    }),
    createRoute({
      method: "post",
      path: "/v1/videos/{id}/remix",
      summary: "The same with another prompt",
      security,
      request: {
        params: id,
        body: { required: true, content: { "application/json": { schema: remixSchema } } },
      },
      responses: video,
    }),
    createRoute({
      method: "get",
      path: "/v1/videos/{id}/content",
      summary: "The file, whole or by range",
      security,
      request: { params: id },
      responses: { 200: { description: "MP4" }, 206: { description: "a range of it" }, ...failure },
    }),
    createRoute({
      method: "get",
      path: "/v1/videos/{id}/preview",
      summary: "What a video looks like that is in progress, where the server makes previews",
      security,
      request: { params: id },
      responses: { 200: { description: "an animated PNG of its latent frames" }, ...failure },
    }),
    createRoute({
      method: "get",
      path: "/v1/videos/{id}/events",
      summary: "Progress as server-sent events `video` with the path of a preview, until the video has ended",
      security,
      request: { params: id },
      responses: { 200: { description: "text/event-stream" }, ...failure },
    }),
  ];
  for (const route of routes) registry.registerPath(route);
  app.doc31("/openapi.json", { openapi: "3.1.0", info: { title: "LVSA video server", version } });
}
