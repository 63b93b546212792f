"""The renderer and the captions. Run: python -m unittest discover -s tests"""

import sys
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from captions import caption  # noqa: E402
from world import BACKGROUNDS, COLORS, SIZE, draw_clips, draw_frame, is_held_out, sample_scenes, spec_of  # noqa: E402


class World(unittest.TestCase):
    def test_batches_equal_the_definition(self):
        scenes = sample_scenes(48, seed=1, two=0.5)
        clips = (draw_clips(scenes, 33).numpy() + 1) / 2
        for i in range(len(scenes)):
            for f in (0, 7, 32):
                expected = draw_frame(spec_of(scenes, i), f)
                # f32 against f64: an edge at pixel 64 is exact to about 1e-5 pixels.
                self.assertLess(np.abs(clips[i, :, f].transpose(1, 2, 0) - expected).max(), 1e-3)

    def test_names_are_far_apart(self):
        colors = np.array([*COLORS.values(), *BACKGROUNDS.values()])
        far = np.linalg.norm(colors[:, None] - colors[None], axis=-1) + 9 * np.eye(len(colors))
        self.assertGreaterEqual(far.min(), 0.25)

    def test_held_out_combinations_are_never_drawn(self):
        for held in (True, False):
            s = sample_scenes(3000, seed=2, held_out=held)
            self.assertTrue(all(is_held_out(s.color[i, 0], s.shape[i, 0], s.motion[i, 0], s.background[i]) == held for i in range(3000)))
            two = s.count == 2
            self.assertFalse(any(is_held_out(s.color[i, 1], s.shape[i, 1], s.motion[i, 1], s.background[i]) for i in np.flatnonzero(two)))

    def test_every_scene_shows_its_object_for_ever(self):
        scenes = sample_scenes(64, seed=3)
        background = scenes.background_rgb[:, :, None, None, None] * 2 - 1
        for first in (0, 100):
            clips = draw_clips(scenes, 2, first=first).numpy()
            area = (np.abs(clips - background).max(axis=1) > 0.05).mean(axis=(1, 2, 3))
            self.assertGreater(area.min(), 60 / SIZE**2)

    def test_captions(self):
        scenes = sample_scenes(400, seed=4)
        rng = np.random.default_rng(5)
        texts = [caption(scenes, i, rng, complete=True) for i in range(400)]
        for i, text in enumerate(texts):
            self.assertIn(list(COLORS)[scenes.color[i, 0]], text.lower())
            self.assertIn(list(BACKGROUNDS)[scenes.background[i]], text.lower())
            self.assertNotIn("  ", text)
            self.assertNotIn(" a orange", text)
        self.assertGreater(len(set(texts)), 380)


if __name__ == "__main__":
    unittest.main()
