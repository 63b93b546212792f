"""Writes the golden frames that tie this renderer to its twin in TypeScript: 20 frames as 8-bit RGB, and the specs.

    python write_goldens.py ../../fixtures/demo-world

`scenes.json` holds, for each frame, the spec, the number of the frame and a caption; `frames.rgb` the frames one after
the other, each 64 x 64 x 3 bytes, row by row, `round(255 * value)`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from captions import caption
from world import MOTIONS, SHAPES, draw_frame, sample_scenes, spec_of


def main(folder: str) -> None:
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    scenes = sample_scenes(4000, seed=20, two=0.25)
    rng = np.random.default_rng(21)
    chosen: list[int] = []
    # Every motion and every shape, alone and with a second object.
    for number in range(20):
        want = (number % len(MOTIONS), number % len(SHAPES) if number < 8 else (number // 2 + 1) % len(SHAPES))
        two = 2 if number % 5 == 4 else 1
        fits = (scenes.motion[:, 0] == want[0]) & (scenes.shape[:, 0] == want[1]) & (scenes.count == two)
        chosen.append(int(np.flatnonzero(fits)[number % int(fits.sum())]))
    frames, items = [], []
    for number, i in enumerate(chosen):
        spec, frame = spec_of(scenes, i), (0, 5, 16, 40, 117)[number % 5]
        frames.append(np.rint(255 * draw_frame(spec, frame)).astype(np.uint8).tobytes())
        items.append({"frame": frame, "caption": caption(scenes, i, rng, complete=True), "spec": spec})
    (out / "frames.rgb").write_bytes(b"".join(frames))
    (out / "scenes.json").write_text(json.dumps(items, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
