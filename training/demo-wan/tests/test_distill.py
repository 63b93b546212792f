"""The student's levels, the teacher between them, low-rank factors, and masks of the horizon's patterns."""

import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from distill import Pairs, segments  # noqa: E402
from files import load_weights  # noqa: E402
from lora import Adapter, merge  # noqa: E402
from sampler import few_sigmas, few_steps, integrate, sigmas_of  # noqa: E402
from transformer import Transformer, TransformerConfig, rotary_tables  # noqa: E402


def small() -> Transformer:
    torch.manual_seed(1)
    model = Transformer(TransformerConfig(num_layers=2, ffn_dim=32))
    # It begins at zero, where nothing would show.
    nn.init.normal_(model.proj_out.weight, std=0.1)
    return model


class Levels(unittest.TestCase):
    def test_segments_are_the_teachers_twenty_steps(self):
        parts = segments(5)
        joined = np.concatenate([parts[0], *(p[1:] for p in parts[1:])])
        # UniPC's levels before the shift fall evenly from 1 to 1/1000, these by quarters to 0: up to 1/1000 apart.
        np.testing.assert_allclose(joined, sigmas_of(20), atol=1e-3)
        ends = [parts[0][0], *(p[-1] for p in parts)]
        np.testing.assert_allclose(ends, few_sigmas(), atol=2e-6)

    def test_a_straight_flow_is_followed_exactly(self):
        generator = torch.Generator().manual_seed(2)
        clean, noise = (torch.randn(2, 3, generator=generator, dtype=torch.float64) for _ in range(2))
        flow = lambda x, timestep: noise - clean
        at = lambda sigma: (1 - sigma) * clean + sigma * noise
        for levels in segments(5):
            there = integrate(flow, at(levels[0]), levels)
            self.assertLess(float((there - at(levels[-1])).abs().max()), 1e-9)
        self.assertLess(float((few_steps(flow, noise) - clean).abs().max()), 1e-12)

    def test_a_segment_is_of_second_order(self):
        # dx/ds = x has the solution exp(s). Half the step must leave a quarter of the error, or so; a first-order end would leave half.
        exact = lambda levels: float(np.exp(levels[-1] - levels[0]))
        errors = []
        for steps in (8, 16):
            levels = segments(steps)[1]
            flow = lambda x, timestep: x
            errors.append(abs(float(integrate(flow, torch.ones(1, dtype=torch.float64), levels)) - exact(levels)))
        self.assertGreater(errors[0] / errors[1], 3)

    def test_pairs_keep_the_latest(self):
        pairs = Pairs(2, 3, torch.device("cpu"))
        for i in range(1, 4):
            filled = lambda v: [torch.full((3, 8, 5, 8, 8), float(v))] * 4
            pairs.add(filled(i), filled(-i), torch.full((3, 32), i, dtype=torch.int16), torch.full((3,), 32.0))
        at, level, way, ids, _ = pairs.draw(64)
        self.assertEqual(set(at[:, 0, 0, 0, 0].tolist()), {2.0, 3.0})
        self.assertTrue(torch.equal(at, -way))
        self.assertTrue(torch.equal(at[:, 0, 0, 0, 0], ids[:, 0].float()))
        self.assertEqual(set(level.tolist()), {0, 1, 2, 3})


class LowRank(unittest.TestCase):
    def test_gradients_are_those_of_the_product(self):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
        adapter = Adapter(model, 2)
        for up in adapter.up:
            nn.init.normal_(up)
        adapter.write()
        x = torch.randn(7, 6)
        model(x).square().sum().backward()
        adapter.collect()
        down, up = ([p.detach().clone().requires_grad_(True) for p in some] for some in (adapter.down, adapter.up))
        y = x
        for i, layer in enumerate(model):
            y = nn.functional.linear(y, adapter.base[i] + up[i] @ down[i], layer.bias)
        y.square().sum().backward()
        for ours, theirs in zip([*adapter.down, *adapter.up], [*down, *up]):
            self.assertLess(float((ours.grad - theirs.grad).norm() / theirs.grad.norm()), 1e-5)

    def test_a_saved_file_makes_the_same_model(self):
        trained, fresh = small(), small()
        adapter = Adapter(trained, 3)
        for up in adapter.up:
            nn.init.normal_(up, std=0.1)
        adapter.write()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "few.safetensors"
            adapter.save(path, dtype=torch.float32)
            names = load_weights(path)
            merge(fresh, path)
        self.assertIn("transformer.blocks.1.attn2.to_out.0.lora_B.weight", names)
        self.assertEqual(len(names), 2 * sum(isinstance(m, nn.Linear) for m in fresh.modules()))
        for (name, a), (_, b) in zip(trained.named_parameters(), fresh.named_parameters()):
            self.assertTrue(torch.equal(a, b), name)


class Masks(unittest.TestCase):
    def test_a_frame_sees_only_what_its_row_names(self):
        model = small()
        inputs = [torch.randn(1, 8, 3, 8, 8, generator=torch.Generator().manual_seed(4)), torch.tensor([500.0]), torch.randn(1, 4, 128)]
        bias = torch.full((3, 3), -1e4).fill_diagonal_(0).repeat_interleave(16, 0).repeat_interleave(16, 1)[None, None]
        with torch.no_grad():
            self.assertTrue(torch.equal(model(*inputs), model(*inputs, None, torch.zeros(1, 1, 48, 48))))
            before = model(*inputs, None, bias)
            inputs[0][:, :, 2] += 1
            after = model(*inputs, None, bias)
        self.assertTrue(torch.equal(before[:, :, :2], after[:, :, :2]))
        self.assertFalse(torch.equal(before[:, :, 2], after[:, :, 2]))

    def test_given_frequencies_turn_time_alone(self):
        usual = rotary_tables(32, 3, 2, 2)
        other = rotary_tables(32, 3, 2, 2, temporal=(0.5, 0.1, 0.02, 0.01, 0.002, 0.0005))
        for a, b in zip(usual, other):
            self.assertFalse(torch.equal(a[:, :6], b[:, :6]))
            self.assertTrue(torch.equal(a[:, 6:], b[:, 6:]))


if __name__ == "__main__":
    unittest.main()
