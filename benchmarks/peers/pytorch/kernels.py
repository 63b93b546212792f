"""Linear layers, attention and convolutions of Wan 2.1 1.3B's sizes in PyTorch.

    python kernels.py [linear,attention,lvsa,flex,conv] [--small]
"""

import sys

import torch
import torch.nn.functional as F

from bench import main, measure

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF = torch.float16 if DEVICE == "cuda" else torch.float32
HEADS, HEAD_DIM, PATCHES = 12, 128, 1560
# Frames, and frames between keyframes: 1, 2, 4 and 6 times the length that Wan was trained on.
CLIPS = ((21, 0), (41, 3), (81, 6), (121, 9))


def random(*shape, dtype=HALF):
    return torch.randn(*shape, device=DEVICE, dtype=dtype)


def linear(small):
    sizes = ((512, 192, 192),) if small else ((32768, 1536, 1536), (32768, 8960, 1536), (32768, 1536, 8960), (8192, 8192, 8192))
    for m, n, k in sizes:
        for dtype in (torch.float16, torch.bfloat16) if DEVICE == "cuda" else (HALF,):
            x, w, b = random(m, k, dtype=dtype), random(n, k, dtype=dtype), random(n, dtype=dtype)
            measure("linear", {"M": m, "N": n, "K": k}, 2 * m * n * k, lambda: F.linear(x, w, b), dtype=str(dtype))


def attended_frames(frames, interval, half_window=3):
    """Frames that each frame sees: the first, keyframes, and the nearest others, as many as a full window has."""
    if interval == 0:
        return [list(range(frames))] * frames
    fixed = sorted({0, *range(0, frames, interval)})
    wanted = min(2 * half_window + 1, frames - len(fixed))
    lists = []
    for frame in range(frames):
        low, high = frame, frame + 1
        count = int(frame not in fixed)
        while count < wanted:
            if low > 0:
                low -= 1
                count += low not in fixed
            if count < wanted and high < frames:
                count += high not in fixed
                high += 1
        lists.append(sorted({*fixed, *range(low, high)}))
    return lists


def attention(small):
    frames, patches, heads = (4, 70, 2) if small else (21, PATCHES, HEADS)
    tokens = frames * patches
    for dtype in (torch.float16, torch.bfloat16) if DEVICE == "cuda" else (HALF,):
        q, k, v = (random(1, heads, tokens, HEAD_DIM, dtype=dtype) for _ in range(3))
        shape = {"frames": frames, "patches": patches, "heads": heads, "headDim": HEAD_DIM, "attended": frames}
        flops = 4 * tokens * tokens * HEAD_DIM * heads
        measure("attention", shape, flops, lambda: F.scaled_dot_product_attention(q, k, v), form="sdpa", dtype=str(dtype))


def lvsa(small, flex=False):
    """Dense SDPA of longer clips, and the two forms of sparse attention that PyTorch has."""
    # Each length is compiled anew, which takes longer than all that is measured.
    clips = ((9, 3),) if small else CLIPS[2:3] if flex else CLIPS
    for frames, interval in clips:
        patches, heads = (70, 2) if small else (PATCHES, HEADS)
        lists = attended_frames(frames, interval)
        tokens = frames * patches
        mean = sum(map(len, lists)) / frames
        dtype = torch.bfloat16 if DEVICE == "cuda" else HALF
        q, k, v = (random(1, tokens, heads, HEAD_DIM, dtype=dtype) for _ in range(3))
        qh, kh, vh = (t.transpose(1, 2) for t in (q, k, v))
        shape = {"frames": frames, "patches": patches, "heads": heads, "headDim": HEAD_DIM, "attended": round(mean, 2)}
        sparse_flops = 4 * tokens * mean * patches * HEAD_DIM * heads

        def per_frame():
            parts = []
            for frame, seen in enumerate(lists):
                keys = torch.cat([k[:, i * patches : (i + 1) * patches] for i in seen], 1).transpose(1, 2)
                values = torch.cat([v[:, i * patches : (i + 1) * patches] for i in seen], 1).transpose(1, 2)
                parts.append(F.scaled_dot_product_attention(qh[:, :, frame * patches : (frame + 1) * patches], keys, values))
            return torch.cat(parts, 2)

        if flex:
            from torch.nn.attention.flex_attention import create_block_mask, flex_attention

            sees = torch.zeros(frames, frames, dtype=torch.bool, device=DEVICE)
            for frame, seen in enumerate(lists):
                sees[frame, seen] = True
            mask = create_block_mask(
                lambda _b, _h, i, j: sees[i // patches, j // patches], None, None, tokens, tokens, device=DEVICE, _compile=DEVICE == "cuda"
            )
            compiled = torch.compile(flex_attention) if DEVICE == "cuda" else flex_attention
            q2, k2, v2 = (t.contiguous() for t in (qh, kh, vh))
            measure("lvsa", shape, sparse_flops, lambda: compiled(q2, k2, v2, block_mask=mask), form="flex", dtype=str(dtype))
            continue
        dense_flops = 4 * tokens * tokens * HEAD_DIM * heads
        measure("lvsa", shape, dense_flops, lambda: F.scaled_dot_product_attention(qh, kh, vh), form="sdpa dense", dtype=str(dtype))
        measure("lvsa", shape, sparse_flops, per_frame, form="per frame", dtype=str(dtype))


def conv(small):
    torch.backends.cudnn.benchmark = True
    sizes = ((4, 12, 16, 32),) if small else ((4, 60, 104, 384), (4, 120, 208, 384), (4, 240, 416, 192), (4, 480, 832, 96))
    for frames, height, width, channels in sizes:
        x = random(1, channels, frames + 2, height, width)
        w = random(channels, channels, 3, 3, 3)
        flops = 2 * frames * height * width * channels * channels * 27
        shape = {"frames": frames, "height": height, "width": width, "channels": channels, "out": channels}
        measure("conv", shape, flops, lambda: F.conv3d(x, w, padding=(0, 1, 1)), form="contiguous", dtype=str(HALF))
        x = x.to(memory_format=torch.channels_last_3d)
        w = w.to(memory_format=torch.channels_last_3d)
        measure("conv", shape, flops, lambda: F.conv3d(x, w, padding=(0, 1, 1)), form="channels last", dtype=str(HALF))


def run(small):
    names = [arg for arg in sys.argv[1:] if not arg.startswith("-")]
    wanted = names[0].split(",") if names else ["linear", "attention", "lvsa", "flex", "conv"]
    parts = {"linear": linear, "attention": attention, "lvsa": lvsa, "flex": lambda s: lvsa(s, flex=True), "conv": conv}
    for name in wanted:
        parts[name](small)
        if DEVICE == "cuda":
            torch.cuda.empty_cache()


with torch.no_grad():
    main(run)
