"""What the emoji kinds share: the table of names and traits, sprites, their contrast, and recolouring."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from . import artwork, heldout
from .palette import BACKGROUNDS, COLOURS, PALE, lab
from .words import plural, with_article

RECOLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
PLAIN_STYLE = "noto"  # captions need not name it
SAME_COLOUR = 16  # Lab distance below which the rim of a sprite melts into the background
MAX_MELTED = 0.3  # share of the rim that may
NATURAL_HUE = 0.09  # half the width of the band of hues that recolouring replaces
MIN_RECOLOURED = 0.45  # share of the sprite that must then be nearest to the wanted colour


@dataclass(frozen=True)
class Emoji:
    code: str
    name: str
    traits: str

    @property
    def countable(self):
        return not set("mp") & set(self.traits)

    def phrase(self, adjective=None):
        words = f"{adjective} {self.name}" if adjective else self.name
        return with_article(words) if self.countable else words

    def plural(self):
        return plural(self.name)


class Library:
    """The artwork on disk, and what of it is used. The one `LIBRARY` of a process is set up by `use`."""

    def __init__(self, folder, styles, common_only):
        self.folder, self.styles, self.common_only = Path(folder), tuple(styles), common_only

    def check(self):
        for style in self.styles:
            if not (self.folder / style / "complete").exists():
                raise artwork.ArtworkError(
                    f"no artwork of the style {style} in {self.folder}: run tools/data/fetch_artwork first"
                )

    def styles_of(self, code):
        return [style for style in self.styles if (self.folder / style / f"{code}.png").exists()]


LIBRARY = Library(artwork.default_folder(), (PLAIN_STYLE,), False)


def use(folder, styles, common_only=False):
    LIBRARY.__init__(folder, styles, common_only)
    LIBRARY.check()
    for cached in (emojis, sprite, rim, recoloured, fitting_backgrounds):
        cached.cache_clear()


@lru_cache(maxsize=None)
def table():
    """All emoji by code point."""
    lines = (Path(__file__).parent / "emoji.tsv").read_text().splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {code: Emoji(code, name, traits) for code, name, traits in rows}


@lru_cache(maxsize=None)
def emojis(traits=None, countable=False):
    """The emoji in use that have one of the traits and, if asked, can be counted."""
    needed = set(traits or ())
    return [
        emoji
        for emoji in table().values()
        if (not needed or needed & set(emoji.traits))
        and (emoji.countable or not countable)
        and ("c" in emoji.traits or not LIBRARY.common_only)
    ]


def choose(rng, pool):
    """An emoji and one of the styles that have it."""
    while True:
        emoji = rng.choice(pool)
        styles = LIBRARY.styles_of(emoji.code)
        if styles:
            return emoji, rng.choice(styles)


def styled(phrase, style, rng):
    """The phrase, with the style named where it is not the plain one."""
    if style == PLAIN_STYLE and rng.chance(0.85):
        return phrase
    if style != PLAIN_STYLE and rng.chance(0.3):
        return phrase
    return f"{artwork.STYLES[style].phrase} {phrase}"


def held_out_style(spec):
    return heldout.emoji_style(spec["emoji"], spec["style"]) if spec["style"] != PLAIN_STYLE else None


@lru_cache(maxsize=4096)
def sprite(style, code):
    """The artwork, cut to what is visible."""
    image = Image.open(LIBRARY.folder / style / f"{code}.png").convert("RGBA")
    visible = image.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0).getbbox()
    return image.crop(visible)


@lru_cache(maxsize=4096)
def rim(style, code, colour=None):
    """Lab colours of the sprite's outline."""
    image = recoloured(style, code, colour) if colour else sprite(style, code)
    small = image.resize((64, 64))
    alpha = small.getchannel("A").point(lambda value: 255 if value > 128 else 0)
    inner = np.asarray(alpha.filter(ImageFilter.MinFilter(5)))
    ring = (np.asarray(alpha) > 0) & (inner == 0)
    return lab(np.asarray(small)[..., :3][ring])


@lru_cache(maxsize=4096)
def fitting_backgrounds(style, code, colour=None):
    edge = rim(style, code, colour)

    def melted(name):
        return (np.linalg.norm(edge - lab(BACKGROUNDS[name]), axis=-1) < SAME_COLOUR).mean()

    fitting = [name for name in BACKGROUNDS if melted(name) <= MAX_MELTED and name != colour]
    return fitting or [min(BACKGROUNDS, key=melted)]


def pick_background(rng, *sprites):
    """A background on which every (style, code[, colour]) stands out, or the best for the first."""
    shared = [name for name in fitting_backgrounds(*sprites[0]) if all(name in fitting_backgrounds(*s) for s in sprites)]
    shared = shared or fitting_backgrounds(*sprites[0])
    pale = [name for name in shared if name in PALE]
    return rng.choice(pale if pale and rng.chance(0.75) else shared)


@lru_cache(maxsize=4096)
def recoloured(style, code, colour):
    """The sprite with its main hue replaced, or None where that would not show the colour."""
    image = sprite(style, code)
    pixels = np.asarray(image).astype(float)
    rgb, alpha = pixels[..., :3], pixels[..., 3] / 255
    hue, saturation, value = np.moveaxis(np.asarray(image.convert("RGB").convert("HSV")).astype(float) / 255, -1, 0)
    weight = alpha * (saturation > 0.25) * (value > 0.2)
    if weight.sum() < 0.2 * alpha.sum():
        return None
    counts, edges = np.histogram(hue, bins=24, range=(0, 1), weights=weight)
    main = (edges[counts.argmax()] + edges[counts.argmax() + 1]) / 2
    near = (np.abs((hue - main + 0.5) % 1 - 0.5) < NATURAL_HUE) & (weight > 0)
    light = value / max(0.2, float(np.median(value[near])))
    target = np.array(COLOURS[colour], float)
    shaded = target * np.minimum(1, light)[..., None]
    shaded += (255 - shaded) * np.clip((light - 1) * 0.6, 0, 0.6)[..., None]
    rgb = np.where(near[..., None], shaded, rgb)
    result = np.concatenate([rgb, pixels[..., 3:]], -1).clip(0, 255).round().astype("uint8")
    result = Image.fromarray(result, "RGBA")
    return result if shows(result, colour) else None


def shows(image, colour):
    small = np.asarray(image.resize((64, 64)))
    inside = lab(small[..., :3][small[..., 3] > 128])
    names = list(COLOURS)
    nearest = np.linalg.norm(inside[:, None] - lab(list(COLOURS.values())), axis=-1).argmin(-1)
    return (nearest == names.index(colour)).mean() > MIN_RECOLOURED


def place(picture, image, cx, cy, side, mirrored=False, degrees=0.0):
    """Pastes a sprite centred at (cx, cy), its longer side `side` long, all in units of 1/256 of the picture."""
    scale = picture.width / 256
    ratio = side * scale / max(image.size)
    image = image.resize([max(1, round(length * ratio)) for length in image.size], Image.LANCZOS)
    if mirrored:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    if degrees:
        image = image.rotate(degrees, Image.BICUBIC, expand=True)
    picture.paste(image, (round(cx * scale - image.width / 2), round(cy * scale - image.height / 2)), image)


def backdrop(name, size):
    return Image.new("RGB", (size, size), BACKGROUNDS[name])
