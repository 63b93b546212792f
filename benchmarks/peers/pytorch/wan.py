"""A forward pass of Wan 2.1 1.3B and its decoder in PyTorch: own modules of the published shapes, random weights.

    python wan.py [forward,decode] [FRAMES,...] [--small]

Frames are video frames of 832x480 (4 n + 1).
"""

import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from bench import in_time, main, say, wait

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPE = torch.bfloat16 if DEVICE == "cuda" else torch.float32


class Block(nn.Module):
    """Self-attention with rotary positions, attention to the text, feed-forward; scaled and shifted by the time step."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        for name in ("q", "k", "v", "o", "text_q", "text_k", "text_v", "text_o"):
            setattr(self, name, nn.Linear(width, width))
        for name in ("norm_q", "norm_k", "norm_text_q", "norm_text_k"):
            setattr(self, name, nn.RMSNorm(width))
        self.norm_text = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.modulation = nn.Parameter(torch.randn(6, width) / 40)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def rotate(self, x, cos, sin):
        pairs = x.unflatten(-1, (self.heads, -1, 2)).float()
        a, b = pairs[..., 0], pairs[..., 1]
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1)
        return turned.flatten(-2).to(x.dtype).transpose(1, 2)

    def forward(self, x, text, cos, sin, time_step):
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.modulation + time_step).float().unbind(0)
        width = x.shape[-1:]
        y = (F.layer_norm(x.float(), width) * (1 + scale1) + shift1).to(x.dtype)
        q = self.rotate(self.norm_q(self.q(y)), cos, sin)
        k = self.rotate(self.norm_k(self.k(y)), cos, sin)
        y = F.scaled_dot_product_attention(q, k, self.split(self.v(y))).transpose(1, 2).flatten(2)
        x = (x.float() + self.o(y).float() * gate1).to(x.dtype)
        y = self.norm_text(x)
        q, k = self.split(self.norm_text_q(self.text_q(y))), self.split(self.norm_text_k(self.text_k(text)))
        y = F.scaled_dot_product_attention(q, k, self.split(self.text_v(text))).transpose(1, 2).flatten(2)
        x = x + self.text_o(y)
        y = (F.layer_norm(x.float(), width) * (1 + scale2) + shift2).to(x.dtype)
        return (x.float() + self.down(F.gelu(self.up(y), approximate="tanh")).float() * gate2).to(x.dtype)


class Norm(nn.Module):
    """Root mean square over the channels of `[B, C, ...]`."""

    def __init__(self, channels, axes):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * axes))

    def forward(self, x):
        return F.normalize(x, dim=1) * x.shape[1] ** 0.5 * self.gamma


class Causal(nn.Conv3d):
    """A convolution that looks back in time: the last two frames of the chunk before stand first."""

    def __init__(self, inside, out, kernel):
        space = kernel[1] // 2
        super().__init__(inside, out, kernel, padding=(0, space, space))
        self.back = kernel[0] - 1
        self.cache = None

    def forward(self, x):
        if self.back:
            before = self.cache if self.cache is not None else x.new_zeros(*x.shape[:2], self.back, *x.shape[3:])
            x = torch.cat((before, x), 2)
            self.cache = x[:, :, -self.back :].clone()
        return super().forward(x)


class Residual(nn.Module):
    def __init__(self, inside, out):
        super().__init__()
        self.norm1, self.conv1 = Norm(inside, 3), Causal(inside, out, (3, 3, 3))
        self.norm2, self.conv2 = Norm(out, 3), Causal(out, out, (3, 3, 3))
        self.skip = Causal(inside, out, (1, 1, 1)) if inside != out else nn.Identity()

    def forward(self, x):
        y = self.conv1(F.silu(self.norm1(x)))
        return self.conv2(F.silu(self.norm2(y))) + self.skip(x)


class FrameAttention(nn.Module):
    """One head over the pixels of each frame."""

    def __init__(self, channels):
        super().__init__()
        self.norm = Norm(channels, 2)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        b, c, t, h, w = x.shape
        frames = x.transpose(1, 2).flatten(0, 1)
        q, k, v = self.qkv(self.norm(frames)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, -1)
        y = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2).reshape(b * t, c, h, w)
        return x + self.out(y).unflatten(0, (b, t)).transpose(1, 2)


class Upsample(nn.Module):
    """Twice the size, half the channels; with `time` twice the frames, except the first."""

    def __init__(self, channels, time_too):
        super().__init__()
        self.time = Causal(channels, 2 * channels, (3, 1, 1)) if time_too else None
        self.conv = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.is_first = True

    def forward(self, x):
        if self.time is not None and not self.is_first:
            y = self.time(x)
            b, _, t, h, w = y.shape
            x = y.reshape(b, 2, -1, t, h, w).permute(0, 2, 3, 1, 4, 5).reshape(b, -1, 2 * t, h, w)
        self.is_first = False
        b, t = x.shape[0], x.shape[2]
        frames = F.interpolate(x.transpose(1, 2).flatten(0, 1), scale_factor=2, mode="nearest-exact")
        return self.conv(frames).unflatten(0, (b, t)).transpose(1, 2)


class Decoder(nn.Module):
    def __init__(self, base=96):
        super().__init__()
        wide, middle = 4 * base, 2 * base
        stages = [Causal(16, 16, (1, 1, 1)), Causal(16, wide, (3, 3, 3)), Residual(wide, wide), FrameAttention(wide), Residual(wide, wide)]
        for inside, out, time_too in ((wide, wide, True), (middle, wide, True), (middle, middle, False), (base, base, None)):
            stages += [Residual(inside, out), Residual(out, out), Residual(out, out)]
            if time_too is not None:
                stages.append(Upsample(out, time_too))
        self.stages = nn.Sequential(*stages, Norm(base, 3), nn.SiLU(), Causal(base, 3, (3, 3, 3)))

    def restart(self):
        for module in self.modules():
            if isinstance(module, Causal):
                module.cache = None
            if isinstance(module, Upsample):
                module.is_first = True

    def forward(self, latents):
        self.restart()
        return torch.cat([self.stages(latents[:, :, i : i + 1]) for i in range(latents.shape[2])], 2)


def timed(run):
    run()
    wait()
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    run()
    wait()
    seconds = time.perf_counter() - start
    peak = torch.cuda.max_memory_allocated() if DEVICE == "cuda" else None
    return round(seconds, 4), peak


def forward(frames, small):
    width, heads, hidden, layers, patches = (128, 2, 256, 2, 60) if small else (1536, 12, 8960, 30, 1560)
    blocks = [Block(width, heads, hidden) for _ in range(layers)]
    for count in frames:
        if not in_time():
            return
        tokens = ((count - 1) // 4 + 1) * patches
        x, text, step = torch.randn(1, tokens, width), torch.randn(1, 512, width), torch.randn(6, width)
        half = width // heads // 2
        cos, sin = (torch.randn(tokens, 1, half, dtype=torch.float32) for _ in range(2))

        def run():
            y = x
            for block in blocks:
                y = block(y, text, cos, sin, step)
            return y

        seconds, peak = timed(run)
        say(what="model", model="wan2.1-t2v-1.3b", phase="forward", attention="dense", frames=count, seconds=seconds, peakBytes=peak, dtype=str(DTYPE))


def decode(frames, small):
    torch.backends.cudnn.benchmark = True
    height, width = (8, 8) if small else (60, 104)
    for form in ("contiguous", "channels last"):
        decoder = Decoder(16 if small else 96)
        if form == "channels last":
            for module in decoder.modules():
                if isinstance(module, nn.Conv3d):
                    module.to(memory_format=torch.channels_last_3d)
                elif isinstance(module, nn.Conv2d):
                    module.to(memory_format=torch.channels_last)
        for count in frames:
            if not in_time():
                return
            latents = torch.randn(1, 16, (count - 1) // 4 + 1, height, width)
            if form == "channels last":
                latents = latents.to(memory_format=torch.channels_last_3d)
            made = []
            seconds, peak = timed(lambda: made.append(decoder(latents).shape[2]))
            say(what="model", model="wan2.1-t2v-1.3b", phase="decode", form=form, frames=made[-1], seconds=seconds, peakBytes=peak, dtype=str(DTYPE))


def run(small):
    words = [arg for arg in sys.argv[1:] if not arg.startswith("-")]
    phases = words[0].split(",") if words else ["forward", "decode"]
    frames = [int(n) for n in words[1].split(",")] if len(words) > 1 else [81]
    torch.set_default_dtype(DTYPE)
    torch.set_default_device(DEVICE)
    for phase in phases:
        {"forward": forward, "decode": decode}[phase](frames, small)
        if DEVICE == "cuda":
            torch.cuda.empty_cache()


with torch.no_grad():
    main(run)
