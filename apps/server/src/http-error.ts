/** Errors in the form that OpenAI's clients read. */
import { isLvsaError } from "@lvsa/runtime/errors";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import * as z from "zod";

export class HttpError extends Error {
  readonly status: ContentfulStatusCode;
  readonly code: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: ContentfulStatusCode,
    code: string,
    message: string,
    { param = null, headers = {} }: { param?: string | null; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.headers = headers;
  }
}

const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  429: "rate_limit_error",
  500: "server_error",
  503: "server_error",
};

/** What the client gets. The message of an error that nobody meant stays here. */
export function responseOf(error: unknown): Response {
  const known = asHttpError(error);
  const { status, code, param, headers, message } = known;
  const type = TYPES[status] ?? "invalid_request_error";
  return Response.json({ error: { message, type, param, code } }, { status, headers });
}

export function asHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof z.ZodError) {
    const issue = error.issues[0];
    const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
    const param = unknown ?? issue?.path.join(".") ?? null;
    return new HttpError(400, "bad_request", `${param ? `${param}: ` : ""}${issue?.message}`, {
      param: param || null,
    });
  }
  if (isLvsaError(error) && error.isUsage)
    return new HttpError(
      400,
      error.code.toLowerCase(),
      error.fix ? `${error.message} ${error.fix}` : error.message,
    );
  return new HttpError(500, "internal_error", "The server failed; its log says why.");
}
