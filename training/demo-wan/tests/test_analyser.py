"""The analyser on drawn clips: it is the first suspect when a model scores badly."""

import sys
import unittest
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from analyser import read_clips, scores  # noqa: E402
from world import draw_clips, sample_scenes  # noqa: E402


class Analyser(unittest.TestCase):
    def check(self, noise: float, least: dict[str, float]) -> None:
        scenes = sample_scenes(200, seed=6, two=0)
        clips = draw_clips(scenes, 17)
        got = scores(read_clips(clips + noise * torch.randn(clips.shape, generator=torch.Generator().manual_seed(7))), scenes)
        print(noise, got)
        for name, share in least.items():
            self.assertGreaterEqual(got[name], share, name)

    def test_drawn_clips(self):
        self.check(0, {"background": 1, "color": 1, "shape": 0.99, "direction": 1, "motion": 0.98, "size": 0.99})

    def test_noisy_clips(self):
        # 0.06 of the range -1..1, about what a sampler leaves.
        self.check(0.06, {"background": 1, "color": 1, "shape": 0.98, "direction": 1, "motion": 0.96, "size": 0.98})


if __name__ == "__main__":
    unittest.main()
