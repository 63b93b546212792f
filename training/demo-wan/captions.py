"""Captions of scenes: templates and synonyms, with parts left out, as people write prompts."""

from __future__ import annotations

import numpy as np

from world import BACKGROUNDS, COLORS, MOTIONS, SHAPES, Scenes

_COLOR_NAMES, _BACKGROUND_NAMES = tuple(COLORS), tuple(BACKGROUNDS)

SHAPE_WORDS = {
    "circle": ("circle", "circle", "ball", "disc"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
}
SIZE_WORDS = (("small", "little", "tiny"), ("large", "big"))
SPEED_WORDS = (("slowly",), ("quickly", "fast"))
BACKGROUND_WORDS = ("on a", "on a", "over a", "against a", "in front of a")
# As a verb and as a participle.
MOVES = (
    ("moves", "moving"),
    ("slides", "sliding"),
    ("drifts", "drifting"),
    ("goes", "going"),
    ("travels", "travelling"),
    ("glides", "gliding"),
)
WAYS = {
    "left": ("left", "to the left", "leftwards", "from right to left"),
    "right": ("right", "to the right", "rightwards", "from left to right"),
    "up": ("up", "upwards", "upward", "from bottom to top"),
    "down": ("down", "downwards", "downward", "from top to bottom"),
}
STILL = (("stays still", "staying still"), ("stands still", "standing still"), ("does not move", "not moving"), ("rests", "resting"))
CIRCLES = (("circles", "circling"), ("goes round", "going round"), ("turns", "turning"), ("orbits", "orbiting"), ("moves in a circle", "moving in a circle"))
CLOCK = {"clockwise": ("clockwise",), "anticlockwise": ("anticlockwise", "counterclockwise")}
BOUNCES = (("bounces", "bouncing"), ("bounces around", "bouncing around"), ("bounces off the edges", "bouncing off the edges"), ("bounces off the walls", "bouncing off the walls"))

KEEP_SIZE, KEEP_SPEED, KEEP_BACKGROUND, KEEP_MOTION = 0.5, 0.4, 0.85, 0.95


def caption(scenes: Scenes, i: int, rng: np.random.Generator, complete: bool = False) -> str:
    """A caption of scene `i`. `complete` names colour, shape, motion and background always."""
    # One draw of many numbers costs less than many draws.
    draws = iter(rng.random(24))
    pick = lambda words: words[int(next(draws) * len(words))]
    chance = lambda p: next(draws) < p
    with_background = chance(KEEP_BACKGROUND) or complete
    template = int(next(draws) * 8)
    participle = template in (5, 6)
    things = []
    for k in range(int(scenes.count[i])):
        name = _thing(scenes, i, k, pick, chance)
        motion = _motion(scenes, i, k, pick, chance, participle) if chance(KEEP_MOTION) or complete else ""
        things.append((name, motion))
    background = _BACKGROUND_NAMES[scenes.background[i]]
    on = f" {pick(BACKGROUND_WORDS)} {background} background" if with_background else ""
    text = _sentence(template, things, on, background if with_background else "")
    if chance(0.5):
        text = text[0].upper() + text[1:]
    return text + ("." if chance(0.4) else "")


def _sentence(template: int, things: list[tuple[str, str]], on: str, background: str) -> str:
    # Every name begins with a consonant, but for one colour.
    fit = lambda article, name: "an " if article == "a " and name.startswith("orange") else article
    joined = lambda article, link: " and ".join(
        f"{fit(article, name)}{name}{link if motion else ''}{motion}" for name, motion in things
    )
    if template == 1 and background:
        return f"{on.strip()}, {joined('a ', ' ')}"
    if template == 2:
        return joined("a ", " that ") + on
    if template == 3:
        return f"a video of {joined('a ', ' that ')}{on}"
    if template == 4 and background:
        return f"a {background} background with {joined('a ', ' that ')}"
    if template == 5:
        return joined("", " ") + (f", {background} background" if background else "")
    if template == 6:
        return joined("a ", " ") + on
    if template == 7:
        return joined("the ", " ") + on
    return joined("a ", " ") + on


def _thing(scenes: Scenes, i: int, k: int, pick, chance) -> str:
    size = f"{pick(SIZE_WORDS[scenes.size[i, k]])} " if chance(KEEP_SIZE) else ""
    return f"{size}{_COLOR_NAMES[scenes.color[i, k]]} {pick(SHAPE_WORDS[SHAPES[scenes.shape[i, k]]])}"


def _motion(scenes: Scenes, i: int, k: int, pick, chance, participle: bool) -> str:
    motion = MOTIONS[scenes.motion[i, k]]
    form = 1 if participle else 0
    speed = f" {pick(SPEED_WORDS[scenes.speed[i, k]])}" if chance(KEEP_SPEED) else ""
    if motion == "still":
        return pick(STILL)[form]
    if motion in CLOCK:
        return f"{pick(CIRCLES)[form]}{' ' if speed == '' else speed + ' '}{pick(CLOCK[motion])}"
    if motion == "bounces":
        return f"{pick(BOUNCES)[form]}{speed}"
    verb = pick(MOVES)[form]
    way = pick(WAYS[motion])
    return f"{verb}{speed} {way}" if chance(0.6) else f"{verb} {way}{speed}"
