"""Named colours, and distances between colours as an eye sees them."""

from functools import lru_cache

import numpy as np

COLOURS = {
    "red": (220, 38, 38),
    "orange": (249, 128, 20),
    "yellow": (250, 210, 30),
    "green": (34, 160, 70),
    "blue": (37, 99, 225),
    "purple": (130, 60, 190),
    "pink": (245, 120, 180),
    "brown": (130, 80, 40),
    "black": (28, 28, 32),
    "white": (250, 250, 250),
}
PALE = {
    "white": (255, 255, 255),
    "light gray": (222, 226, 231),
    "light blue": (200, 226, 252),
    "light green": (208, 243, 211),
    "light yellow": (255, 246, 196),
    "light pink": (255, 221, 232),
    "beige": (242, 229, 206),
    "lavender": (226, 217, 251),
}
STRONG_BACKGROUNDS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
BACKGROUNDS = {**PALE, **{name: COLOURS[name] for name in STRONG_BACKGROUNDS}}
MIN_CONTRAST = 38  # Lab distance below which a thing on a background is hard to name
MIN_LIGHTNESS_STEP = 16  # and on a strong background it must also be this much lighter or darker

WHITE = (255, 255, 255)
BLACK = (0, 0, 0)


def mix(first, second, share):
    """`first` with `share` (0 to 1) of `second` in it."""
    return tuple(round(a + (b - a) * share) for a, b in zip(first, second))


def lighter(colour, share):
    return mix(colour, WHITE, share)


def darker(colour, share):
    return mix(colour, BLACK, share)


def lab(rgb):
    """CIE L*a*b* (D65) of sRGB values 0 to 255; the last axis holds the three channels."""
    linear = np.asarray(rgb, float) / 255
    linear = np.where(linear > 0.04045, ((linear + 0.055) / 1.055) ** 2.4, linear / 12.92)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


@lru_cache(maxsize=None)
def distance(first, second):
    return float(np.linalg.norm(lab(first) - lab(second)))


def contrasting_backgrounds(colours):
    """Names of the backgrounds on which all of `colours` (RGB) stand out."""
    return [name for name in BACKGROUNDS if all(stands_out(c, name) for c in colours)]


@lru_cache(maxsize=None)
def stands_out(colour, background):
    step = lab(colour) - lab(BACKGROUNDS[background])
    needed = 0 if background in PALE else MIN_LIGHTNESS_STEP
    return np.linalg.norm(step) > MIN_CONTRAST and abs(step[0]) > needed


def pick_background(rng, colours, strong_share=0.25):
    """A background name for things of these colours: mostly pale, sometimes strong."""
    fitting = contrasting_backgrounds(colours)
    pale = [name for name in fitting if name in PALE]
    strong = [name for name in fitting if name not in PALE]
    if strong and (not pale or rng.chance(strong_share)):
        return rng.choice(strong)
    return rng.choice(pale)
