"""The autoencoder: diffusers' `AutoencoderKLWan` (Wan 2.1 flavour) with its tensor names, over whole clips.

diffusers works chunk by chunk with a cache of past frames. Here every causal convolution pads two zero frames in front
and runs over the clip at once, which gives the same numbers with far fewer launches: the first frame passes temporal
resampling as it is, and the convolutions of the rest see zeros before it.

Activations are `[B, C, T, H, W]`. On a GPU channels are padded with zeros to a multiple of 8, which the matrix units
want; norms divide by the true number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from attention import attend


@dataclass(frozen=True)
class AutoencoderConfig:
    base_dim: int = 12
    z_dim: int = 8
    dim_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 1
    temperal_downsample: tuple[bool, ...] = (False, True, True)


class Layout:
    """How convolutions are run: what they compute is the same."""

    def __init__(self) -> None:
        self.multiple = 1
        """Channels are padded with zeros to a multiple of this."""

    def width(self, channels: int) -> int:
        return -(-channels // self.multiple) * self.multiple

    def arranged(self, x: torch.Tensor) -> torch.Tensor:
        """Channels last in memory, where that is quicker."""
        return x.contiguous(memory_format=torch.channels_last_3d) if self.multiple > 1 else x


def _grown(t: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """`t` with zeros behind its first dimensions, up to `sizes`."""
    pad: list[int] = []
    for have, want in reversed(list(zip(t.shape, sizes))):
        pad += [0, want - have]
    rest = [0, 0] * (t.dim() - len(sizes))
    return F.pad(t, rest + pad) if any(pad) else t


class Conv(nn.Module):
    """A convolution with a `weight` `[O, I, (kt,) kh, kw]`; causal in time where it has a time axis."""

    def __init__(self, layout: Layout, inputs: int, outputs: int, kernel: tuple[int, ...]) -> None:
        super().__init__()
        self.layout = layout
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        fan = inputs
        for k in kernel:
            fan *= k
        nn.init.normal_(self.weight, std=fan**-0.5)

    def padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        outputs, inputs = self.weight.shape[:2]
        o, i = self.layout.width(outputs), self.layout.width(inputs)
        return _grown(self.weight, [o, i]), _grown(self.bias, [o])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.padded()
        kt, kh, kw = weight.shape[2:]
        x = F.pad(x, (0, 0, 0, 0, kt - 1, 0)) if kt > 1 else x
        return F.conv3d(x, weight, bias, padding=(0, kh // 2, kw // 2))


class Conv2d(Conv):
    """Of `[N, C, H, W]`."""

    def forward(self, x: torch.Tensor, stride: int = 1, padding: int = 0) -> torch.Tensor:
        weight, bias = self.padded()
        return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def per_frame(x: torch.Tensor, layer) -> torch.Tensor:
    b, c, t, h, w = x.shape
    y = layer(x.permute(0, 2, 1, 3, 4).reshape(b * t, c, h, w))
    return y.reshape(b, t, *y.shape[1:]).permute(0, 2, 1, 3, 4)


def l2_norm(x: torch.Tensor, gamma: torch.Tensor, channels: int) -> torch.Tensor:
    y = x.float()
    y = y * torch.rsqrt((y * y).sum(1, keepdim=True).clamp_min(1e-24)) * (channels**0.5) * gamma
    return y.to(x.dtype)


def l2_norm_silu(x: torch.Tensor, gamma: torch.Tensor, channels: int) -> torch.Tensor:
    y = x.float()
    y = y * torch.rsqrt((y * y).sum(1, keepdim=True).clamp_min(1e-24)) * (channels**0.5) * gamma
    return F.silu(y).to(x.dtype)


class Norm(nn.Module):
    fused = staticmethod(l2_norm_silu)

    def __init__(self, layout: Layout, channels: int, images: bool = False) -> None:
        super().__init__()
        self.layout = layout
        self.channels = channels
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1) if images else torch.ones(channels, 1, 1, 1))

    def forward(self, x: torch.Tensor, silu: bool = True) -> torch.Tensor:
        gamma = _grown(self.gamma, [self.layout.width(self.channels)])
        return (self.fused if silu else l2_norm)(x, gamma, self.channels)


class ResidualBlock(nn.Module):
    def __init__(self, layout: Layout, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = Norm(layout, inputs)
        self.conv1 = Conv(layout, inputs, outputs, (3, 3, 3))
        self.norm2 = Norm(layout, outputs)
        self.conv2 = Conv(layout, outputs, outputs, (3, 3, 3))
        self.conv_shortcut = Conv(layout, inputs, outputs, (1, 1, 1)) if inputs != outputs else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = self.conv_shortcut(x) if self.conv_shortcut is not None else x
        return self.conv2(self.norm2(self.conv1(self.norm1(x)))) + shortcut


class FrameAttention(nn.Module):
    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        self.norm = Norm(layout, channels, images=True)
        self.to_qkv = Conv2d(layout, channels, 3 * channels, (1, 1))
        self.proj = Conv2d(layout, channels, channels, (1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def one(y: torch.Tensor) -> torch.Tensor:
            n, c, h, w = y.shape
            qkv = self.to_qkv(self.norm(y, silu=False)).reshape(n, 3, c, h * w).transpose(2, 3)
            q, k, v = qkv[:, 0], qkv[:, 1], qkv[:, 2]
            out = attend(q[:, None], k[:, None], v[:, None])[:, 0]
            return y + self.proj(out.transpose(1, 2).reshape(n, c, h, w))

        return per_frame(x, one)


class MidBlock(nn.Module):
    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([ResidualBlock(layout, channels, channels) for _ in range(2)])
        self.attentions = nn.ModuleList([FrameAttention(layout, channels)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Resample(nn.Module):
    """Halves or doubles height and width, and with `temporal` the frames after the first."""

    def __init__(self, layout: Layout, inputs: int, outputs: int, temporal: bool, up: bool) -> None:
        super().__init__()
        self.layout, self.up = layout, up
        # Position 1 of a sequence, as the published names have it.
        self.resample = nn.ModuleList([nn.Identity(), Conv2d(layout, inputs, outputs, (3, 3))])
        self.time_conv = Conv(layout, inputs, inputs * (2 if up else 1), (3, 1, 1)) if temporal else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        conv = self.resample[1]
        if self.up:
            if self.time_conv is not None and x.shape[2] > 1:
                y = self.time_conv(x[:, :, 1:])
                b, c, t, h, w = y.shape
                y = y.reshape(b, 2, c // 2, t, h, w).permute(0, 2, 3, 1, 4, 5).reshape(b, c // 2, 2 * t, h, w)
                x = self.layout.arranged(torch.cat([x[:, :, :1], y], 2))
            return per_frame(x, lambda y: conv(F.interpolate(y, scale_factor=2.0, mode="nearest"), padding=1))
        x = per_frame(x, lambda y: conv(F.pad(y, (0, 1, 0, 1)), stride=2))
        if self.time_conv is not None and x.shape[2] > 1:
            weight, bias = self.time_conv.padded()
            x = torch.cat([x[:, :, :1], F.conv3d(x, weight, bias, stride=(2, 1, 1))], 2)
        return x


class Encoder(nn.Module):
    def __init__(self, layout: Layout, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = [m * config.base_dim for m in (1, *config.dim_mult)]
        self.conv_in = Conv(layout, 3, widths[0], (3, 3, 3))
        blocks: list[nn.Module] = []
        for level, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            for r in range(config.num_res_blocks):
                blocks.append(ResidualBlock(layout, inputs if r == 0 else outputs, outputs))
            if level < len(config.dim_mult) - 1:
                blocks.append(Resample(layout, outputs, outputs, config.temperal_downsample[level], up=False))
        self.down_blocks = nn.ModuleList(blocks)
        self.mid_block = MidBlock(layout, widths[-1])
        self.norm_out = Norm(layout, widths[-1])
        self.conv_out = Conv(layout, widths[-1], 2 * config.z_dim, (3, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(self.norm_out(self.mid_block(x)))


class UpBlock(nn.Module):
    def __init__(self, layout: Layout, inputs: int, outputs: int, blocks: int, temporal: bool | None) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            [ResidualBlock(layout, inputs if r == 0 else outputs, outputs) for r in range(blocks + 1)]
        )
        up = temporal is not None
        self.upsamplers = nn.ModuleList([Resample(layout, outputs, outputs // 2, bool(temporal), up=True)]) if up else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.resnets:
            x = block(x)
        return self.upsamplers[0](x) if self.upsamplers is not None else x


class Decoder(nn.Module):
    def __init__(self, layout: Layout, config: AutoencoderConfig) -> None:
        super().__init__()
        multiples = config.dim_mult[::-1]
        widths = [m * config.base_dim for m in (multiples[0], *multiples)]
        temporal = config.temperal_downsample[::-1]
        self.conv_in = Conv(layout, config.z_dim, widths[0], (3, 3, 3))
        self.mid_block = MidBlock(layout, widths[0])
        last = len(multiples) - 1
        self.up_blocks = nn.ModuleList(
            [
                UpBlock(
                    layout,
                    widths[i] // 2 if i > 0 else widths[i],
                    widths[i + 1],
                    config.num_res_blocks,
                    temporal[i] if i < last else None,
                )
                for i in range(last + 1)
            ]
        )
        self.norm_out = Norm(layout, widths[-1])
        self.conv_out = Conv(layout, widths[-1], 3, (3, 3, 3))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(self.norm_out(x))


class Autoencoder(nn.Module):
    def __init__(self, config: AutoencoderConfig = AutoencoderConfig()) -> None:
        super().__init__()
        self.config = config
        self.layout = Layout()
        self.encoder = Encoder(self.layout, config)
        self.quant_conv = Conv(self.layout, 2 * config.z_dim, 2 * config.z_dim, (1, 1, 1))
        self.post_quant_conv = Conv(self.layout, config.z_dim, config.z_dim, (1, 1, 1))
        self.decoder = Decoder(self.layout, config)
        # Latents begin almost without noise, or the decoder learns to do without them.
        nn.init.constant_(self.quant_conv.bias[config.z_dim :], -5.0)

    def encode(self, video: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log variance `[B, z, T, h, w]` of clips `[B, 3, F, H, W]` in -1..1, F = 4k + 1."""
        x = self.layout.arranged(_grown(video, [video.shape[0], self.layout.width(3)]))
        moments = self.quant_conv(self.encoder(x))
        z = self.config.z_dim
        return moments[:, :z], moments[:, z : 2 * z].clamp(-30.0, 20.0)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Clips `[B, 3, 4T - 3, H, W]` of raw latents `[B, z, T, h, w]`; not clamped."""
        z = self.layout.arranged(_grown(z, [z.shape[0], self.layout.width(self.config.z_dim)]))
        return self.decoder(self.post_quant_conv(z))[:, :3]
