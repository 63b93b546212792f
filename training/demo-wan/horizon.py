"""Clips beyond the training length under many attention patterns, from the noise that `lvsa compare` takes.

    node write-patterns.mjs run/patterns.json 128
    python horizon.py --model ../../packages/demo-wan/model --patterns run/patterns.json --out run/horizon

Pictures are judged by the TypeScript analyser (`judge-clips.mjs`, a process per way), whose lines come into `horizon.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer

import tokenizer as tokenizer_code
from lora import merge
from sample import load_exported
from sampler import few_steps, guided, sample
from text_encoder import row_bias

TOKENS = 16
"""Of a latent frame."""
STUDENT = ("dense", "lvsa-rotating", "lvsa-fixed", "rotating w2 f0", "rotating w2 f1", "window only w2 f0", "window only w2 f1")
"""Ways that are run with the student, too."""


class Bench:
    def __init__(
        self, folder: Path, lora: Path | None, prompts: list[str], tokenizer: str, device: torch.device, seeds: list[int] | None = None
    ) -> None:
        self.device, self.prompts, self.few, self.given_seeds = device, prompts, lora is not None, seeds
        transformer, text, vae, mean, std = load_exported(folder)
        if lora:
            merge(transformer, lora)
        self.transformer, text, self.vae = transformer.to(device), text.to(device), vae.to(device)
        if device.type == "cuda":
            vae.layout.multiple = 8
        self.mean, self.std = (t.to(device).view(1, -1, 1, 1, 1) for t in (mean, std))
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
        ids = torch.as_tensor(tokenizer_code.encode(Tokenizer.from_file(tokenizer), [*prompts, ""]), device=device).long()
        with torch.no_grad(), self.autocast:
            hidden = text(ids)
            bias = row_bias(ids, torch.full((len(ids),), 32.0, device=device))
        count = len(prompts)
        self.positive = (hidden[:-1], bias[:-1])
        self.negative = (hidden[-1:].expand(count, -1, -1), bias[-1:].expand(count, -1, -1, -1))

    def prompts_of(self, entry: dict) -> list[str]:
        return self.prompts[: entry["prompts"]]

    @property
    def seeds(self) -> list[int]:
        """Of each prompt: its place in the file, as `lvsa compare` counts."""
        return self.given_seeds or list(range(len(self.prompts)))

    @torch.no_grad()
    def clips(self, entry: dict, steps: int, speed: float) -> torch.Tensor:
        """Bytes `[prompts, frames, 64, 64, 3]`."""
        frames, count = entry["frames"], len(self.prompts_of(entry))
        noise = [torch.randn(1, 8, frames, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in self.seeds[:count]]
        frequencies = entry["frequencies"]
        self.transformer.temporal_frequencies = tuple(frequencies) if frequencies else None
        biases = [self.bias_of(mask) for mask in entry["masks"]]
        calls = 0

        def model(x, timestep, text, text_bias):
            step = calls // (1 if self.few else 2)
            offset = int(step * speed) % len(biases) if self.few and biases else (entry["steps"] or [-1] * steps)[step]
            return self.transformer(x, timestep, text, text_bias, biases[offset] if biases and offset >= 0 else None)

        def counted(*inputs):
            nonlocal calls
            out = model(*inputs)
            calls += 1
            return out

        positive, negative = ([t[:count] for t in both] for both in (self.positive, self.negative))
        velocity = guided(counted, positive, negative, 1 if self.few else entry["guidance"])
        x = torch.cat(noise).to(self.device)
        with self.autocast:
            z = few_steps(velocity, x) if self.few else sample(velocity, x, steps)
            raw = z * self.std + self.mean
            video = torch.cat([self.vae.decode(part).float().clamp(-1, 1).add(1).mul(127.5).round().byte() for part in raw.split(32)])
        return video.permute(0, 2, 3, 4, 1).contiguous().cpu()

    def bias_of(self, mask: list[str]) -> torch.Tensor:
        seen = torch.tensor([[c == "1" for c in row] for row in mask], device=self.device)
        seen = seen.repeat_interleave(TOKENS, 0).repeat_interleave(TOKENS, 1)
        return torch.zeros(seen.shape, device=self.device).masked_fill(~seen, -1e4)[None, None]


class Judges:
    """Processes of the analyser, so many at a time."""

    def __init__(self, node: str, script: str, out: Path, most: int) -> None:
        self.command, self.out, self.most = [node, script], out, most
        self.running: list[tuple[subprocess.Popen, list[Path]]] = []
        self.count = 0

    def add(self, facts: dict, prompts: list[str], clips: torch.Tensor, folder: Path) -> None:
        while len(self.running) >= self.most:
            self.reap()
            time.sleep(0.05)
        self.count += 1
        raw, job = folder / f"{self.count}.rgb", folder / f"{self.count}.json"
        clips.numpy().tofile(raw)
        job.write_text(json.dumps({"facts": facts, "prompts": prompts, "frames": clips.shape[1], "file": str(raw)}))
        process = subprocess.Popen([*self.command, str(job), str(self.out / "horizon.jsonl")])
        self.running.append((process, [raw, job]))

    def reap(self) -> None:
        for item in [r for r in self.running if r[0].poll() is not None]:
            self.running.remove(item)
            for path in item[1]:
                path.unlink()
            if item[0].returncode != 0:
                print(f"the analyser ended with {item[0].returncode}", flush=True)

    def wait(self) -> None:
        while self.running:
            self.reap()
            time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--lora", type=Path, help="the student's file: its four steps in place of the model's")
    parser.add_argument("--patterns", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "horizon")
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--ways", type=int, help="only so many of them, in the file's order")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin nothing after them")
    parser.add_argument("--node", default="node")
    parser.add_argument("--judge", default="judge-clips.mjs")
    parser.add_argument("--judges", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--tokenizer", default="tokenizer.json")
    args = parser.parse_args()
    begin = time.monotonic()
    for folder in (args.out, args.scratch):
        folder.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    given = json.loads(args.patterns.read_text())
    prompts = given["prompts"][: args.prompts]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    bench = Bench(args.model, args.lora, prompts, args.tokenizer, device)
    judges = Judges(args.node, args.judge, args.out, args.judges)
    entries = given["entries"][: args.ways]
    if args.lora:
        entries = [e for e in entries if e["name"] in STUDENT]
    for entry in entries:
        # Four steps turn the keyframes by one each, or as far as twenty would.
        for speed in (1.0, 5.0) if args.lora and len(entry["masks"]) > 1 else (entry["speed"],):
            if time.monotonic() - begin > args.seconds:
                print("no time for", entry["factor"], entry["name"], flush=True)
                continue
            clips = bench.clips(entry, args.steps, speed)
            facts = {k: entry[k] for k in ("name", "factor", "config", "riflex", "density", "guidance")}
            facts |= {"speed": speed, "student": bool(args.lora), "steps": 4 if args.lora else args.steps}
            judges.add(facts, bench.prompts_of(entry), clips, args.scratch)
    judges.wait()
    print(json.dumps({"seconds": round(time.monotonic() - begin, 1), "ways": judges.count}), flush=True)


if __name__ == "__main__":
    main()
