/** A request's fields, from JSON or a form, and the image that came with them. */
import { HttpError } from "./http-error.js";

export interface RequestBody {
  readonly fields: Readonly<Record<string, unknown>>;
  /** `name`: as it is written into the job's folder. */
  readonly image: { readonly bytes: Uint8Array; readonly name: string } | undefined;
}

const IMAGE_FIELD = "input_reference";

/** @throws HttpError 400, 415 */
export async function readBody(request: Request): Promise<RequestBody> {
  const type = (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  if (type === "multipart/form-data" || type === "application/x-www-form-urlencoded") {
    const form = await request.formData().catch(() => {
      throw new HttpError(400, "bad_request", "The form can not be read.");
    });
    const fields = new Map<string, string>();
    const images: RequestBody["image"][] = [];
    const entries: [string, FormDataEntryValue][] = [];
    form.forEach((value, name) => {
      entries.push([name, value]);
    });
    for (const [name, value] of entries) {
      if (name === `${IMAGE_FIELD}[image_url]` && typeof value === "string") images.push(imageOfUrl(value));
      else if (typeof value !== "string") {
        if (name !== IMAGE_FIELD)
          throw new HttpError(400, "bad_request", `${name}: no file is taken here`, { param: name });
        images.push(imageOf(new Uint8Array(await value.arrayBuffer())));
      } else if (fields.has(name)) throw givenTwice(name);
      else fields.set(name, value);
    }
    if (images.length > 1) throw givenTwice(IMAGE_FIELD);
    return { fields: Object.fromEntries(fields), image: images[0] };
  }
  if (type !== "" && type !== "application/json")
    throw new HttpError(415, "unsupported_media_type", "Send JSON or multipart/form-data.");
  const body: unknown = await request.json().catch(() => {
    throw new HttpError(400, "bad_request", "The body is not JSON.");
  });
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new HttpError(400, "bad_request", "The body is not a JSON object.");
  const { [IMAGE_FIELD]: reference, ...fields } = body as Record<string, unknown>;
  return { fields, image: reference === undefined ? undefined : imageOfReference(reference) };
}

function givenTwice(name: string): HttpError {
  return new HttpError(400, "bad_request", `${name}: given twice`, { param: name });
}

function imageOfReference(reference: unknown): RequestBody["image"] {
  const url = typeof reference === "string" ? reference : (reference as { image_url?: unknown })?.image_url;
  if (typeof url === "string") return imageOfUrl(url);
  throw badImage("expected { image_url } with a data address");
}

/** Nothing is fetched for a client: an address could be one that only this machine reaches. */
function imageOfUrl(url: string): RequestBody["image"] {
  const match = /^data:image\/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)$/.exec(url);
  if (!match) throw badImage("only data addresses (data:image/png;base64,…) are taken; nothing is fetched");
  return imageOf(new Uint8Array(Buffer.from(match[1]!, "base64")));
}

function imageOf(bytes: Uint8Array): RequestBody["image"] {
  const starts = (...head: number[]) => head.every((byte, i) => bytes[i] === byte);
  if (starts(0x89, 0x50, 0x4e, 0x47)) return { bytes, name: "input.png" };
  if (starts(0xff, 0xd8, 0xff)) return { bytes, name: "input.jpg" };
  throw badImage("the file is neither PNG nor JPEG");
}

function badImage(what: string): HttpError {
  return new HttpError(400, "bad_image", `${IMAGE_FIELD}: ${what}`, { param: IMAGE_FIELD });
}
