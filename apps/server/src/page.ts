/** A small page for trying the server by hand. One text with its style and script, nothing from elsewhere. */
import { createHash } from "node:crypto";

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
form { display: grid; gap: .75rem } label { display: grid; gap: .25rem }
textarea, input, select, button { font: inherit; padding: .5rem; border-radius: .4rem; border: 1px solid #8888 }
button { cursor: pointer } .row { display: flex; gap: .75rem; flex-wrap: wrap } .row label { flex: 1 1 8rem }
article { border-top: 1px solid #8884; padding: 1rem 0 } video, img { max-width: 100% } progress { width: 100% }
[role=alert] { color: #c33 }`;

const SCRIPT = `
const $ = (id) => document.getElementById(id);
const key = () => $("key").value.trim();
const ask = async (path, options = {}) => {
  const headers = key() ? { authorization: "Bearer " + key() } : {};
  const answer = await fetch(path, { ...options, headers });
  if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.error?.message ?? answer.statusText);
  return answer;
};
const say = (error) => { $("alert").textContent = error ? error.message : ""; };
const shown = new Map();
const previews = new Map();
const preview = async (video, rest) => {
  const last = previews.get(video.id);
  if (!video.preview_url) {
    if (last) { rest.querySelector("img")?.remove(); previews.delete(video.id); }
    return;
  }
  if (last === video.preview_url) return;
  previews.set(video.id, video.preview_url);
  const answer = await ask(video.preview_url).catch(() => null);
  if (!answer) return;
  const picture = document.createElement("img");
  picture.alt = "Preview"; picture.src = URL.createObjectURL(await answer.blob());
  picture.onload = () => URL.revokeObjectURL(picture.src);
  if (previews.has(video.id)) rest.replaceChildren(picture);
};
const show = (video) => {
  let box = shown.get(video.id);
  if (!box) {
    box = document.createElement("article");
    box.append(document.createElement("p"), document.createElement("progress"), document.createElement("div"));
    shown.set(video.id, box);
    $("videos").prepend(box);
  }
  const [text, bar, rest] = box.children;
  text.textContent = video.prompt + " · " + video.size + " · " + video.seconds + " s · " + (video.error?.message ?? video.status);
  bar.max = 100; bar.value = video.progress;
  bar.hidden = video.status === "completed" || video.status === "failed";
  preview(video, rest);
  if (video.status === "completed" && !rest.childElementCount) {
    const button = document.createElement("button");
    button.textContent = "Show";
    button.onclick = async () => {
      try {
        const file = await (await ask("/v1/videos/" + video.id + "/content")).blob();
        const player = document.createElement("video");
        Object.assign(player, { controls: true, autoplay: true, loop: true, muted: true, src: URL.createObjectURL(file) });
        rest.replaceChildren(player);
      } catch (error) { say(error); }
    };
    rest.append(button);
  }
};
const refresh = async () => {
  try { for (const video of (await (await ask("/v1/videos?limit=20&order=desc")).json()).data.reverse()) show(video); say(); }
  catch (error) { say(error); }
};
$("form").onsubmit = async (event) => {
  event.preventDefault();
  const form = new FormData($("form"));
  for (const [name, value] of [...form]) if (value === "") form.delete(name);
  try { show(await (await ask("/v1/videos", { method: "POST", body: form })).json()); say(); } catch (error) { say(error); }
};
$("key").onchange = refresh;
refresh();
setInterval(refresh, 2000);`;

export const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>LVSA video server</title><style>${STYLE}</style></head>
<body><h1>LVSA video server</h1>
<form id="form">
<label>Prompt <textarea name="prompt" rows="3" required></textarea></label>
<div class="row"><label>Seconds <input name="seconds" type="number" min="0" step="any"></label>
<label>Size <input name="size" placeholder="832x480" pattern="[0-9]+x[0-9]+"></label>
<label>Steps <input name="num_inference_steps" type="number" min="1"></label>
<label>Seed <input name="seed" pattern="-?[0-9]+"></label></div>
<div class="row"><label>API key, where the server has them <input id="key" type="password" autocomplete="off"></label></div>
<button>Make the video</button></form>
<p id="alert" role="alert"></p><main id="videos" aria-live="polite"></main>
<p><a href="/openapi.json">API</a></p>
<script>${SCRIPT}</script></body></html>
`;

const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

export const PAGE_POLICY: string = [
  "default-src 'none'",
  `style-src ${hash(STYLE)}`,
  `script-src ${hash(SCRIPT)}`,
  "connect-src 'self'",
  "img-src blob:",
  "media-src blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");
