"""Reads dressed animals, clocks and blocks back by drawing what the caption says and what it does not say.

A picture shows its caption when (1) the drawing that the caption asks for, moved into place, explains the picture with
no large patch left over, and (2) no drawing with one attribute changed (another colour, a garment more, another hour)
explains the part where the two drawings differ about as well. Where and how the picture was drawn is not known here.
"""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from . import blocks, clock
from .animal import GARMENTS, garment_colours
from .animal_art import ANIMALS, draw_character
from .blocks import BASES, PLACEMENTS, SOLIDS, SOLID_COLOURS
from .check_shapes import Wrong, background_name, background_of, check_background
from .near_miss import with_garment, without_garment
from .palette import BACKGROUNDS, COLOURS, PALE, lab

SIDE = 128  # pixels of the side at which pictures are compared
BLUR = 1.0  # of drawings and pictures alike, because decoders blur
REACH = 10  # a figure may stand so many units beside the middle
CAP = 45.0  # Lab distance beyond which a pixel is simply wrong
LEFT_OVER = 20.0  # Lab distance that a patch must have to count as left over
MAX_LEFT_OVER = 60  # pixels of the largest such patch
MAX_MEAN_ERROR = 9.0  # over the whole picture
DIFFERENT = 6.0  # Lab distance at which two drawings differ
UNDECIDED = 0.45  # 0 is the stated drawing, 1 the other


def prepared(image):
    """Lab pixels at the common size, slightly blurred, as a decoder would."""
    small = image.convert("RGB").resize((SIDE, SIDE), Image.BOX).filter(ImageFilter.GaussianBlur(BLUR))
    return lab(np.asarray(small)).astype(np.float32)


def error(first, second):
    """Capped Lab distance, pixel by pixel."""
    return np.minimum(np.linalg.norm(first - second, axis=-1), CAP)


def moved(pixels, dx, dy):
    """The picture moved by whole pixels, its border repeated."""
    ys = np.clip(np.arange(SIDE) - dy, 0, SIDE - 1)
    xs = np.clip(np.arange(SIDE) - dx, 0, SIDE - 1)
    return pixels[ys[:, None], xs[None, :]]


def aligned(pixels, drawing):
    """The picture moved to where it agrees best with the drawing: first coarsely, then to the pixel."""
    reach = REACH * SIDE // 256
    coarse = [(dx, dy) for dx in range(-reach, reach + 1, 2) for dy in range(-reach, reach + 1, 2)]

    def cost(shift):
        return error(moved(pixels, *shift)[::2, ::2], drawing[::2, ::2]).mean()

    x, y = min(coarse, key=cost)
    fine = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    return moved(pixels, *min(fine, key=cost))


def require_explained(pixels, drawing, what):
    wrong = error(pixels, drawing)
    if wrong.mean() > MAX_MEAN_ERROR:
        raise Wrong(f"it does not look like {what}")
    patches, count = ndimage.label(ndimage.binary_opening(wrong > LEFT_OVER))
    if count and np.bincount(patches.ravel())[1:].max() > MAX_LEFT_OVER:
        raise Wrong(f"something in it is not {what}")


class Hypotheses:
    """The stated drawing and all others that it must beat. These are drawn once, when they are first needed."""

    def __init__(self, draw, stated, others):
        """`others` maps a name to what `draw` takes."""
        self.drawing, self._draw = draw(*stated), draw
        self._waiting, self._drawn = list(others.items()), []

    def __iter__(self):
        yield from self._drawn
        while self._waiting:
            name, what = self._waiting.pop()
            self._drawn.append(Alternative(name, self.drawing, self._draw(*what)))
            yield self._drawn[-1]


class Alternative:
    """Another drawing, where it differs from the stated one."""

    def __init__(self, name, stated, other):
        self.name = name
        self.where = error(stated, other) > DIFFERENT
        self.stated = stated[self.where]
        self.step = other[self.where] - self.stated

    def is_likely(self, pixels):
        """Whether the picture lies further than `UNDECIDED` on the way from the stated drawing to this one."""
        share = ((pixels[self.where] - self.stated) * self.step).sum() / (self.step**2).sum()
        return share > UNDECIDED


def require_best(pixels, alternatives):
    for alternative in alternatives:
        if alternative.where.any() and alternative.is_likely(pixels):
            raise Wrong(f"it may as well be {alternative.name}")


def frozen(spec):
    return tuple(spec["garments"].items())


def check_animal(image, spec):
    pixels, background = _pixels_and_background(image, spec)
    hypotheses = _animal_hypotheses(spec["animal"], frozen(spec), background)
    pixels = aligned(pixels, hypotheses.drawing)
    require_explained(pixels, hypotheses.drawing, f"such a {spec['animal']}")
    require_best(pixels, hypotheses)


def _pixels_and_background(image, spec):
    pixels = prepared(image)
    check_background(pixels, spec["background"])
    return pixels, spec["background"] or background_name(background_of(pixels))


def _draw_animal(animal, garments, background):
    colours = {name: COLOURS[colour] for name, colour in garments}
    return prepared(draw_character(animal, colours, BACKGROUNDS[background], (0, 0), SIDE))


@lru_cache(maxsize=8)
def _animal_hypotheses(animal, garments, background):
    """All that differ by one garment, one colour or the animal."""
    spec = {"animal": animal, "garments": dict(garments)}
    others = {f"a {name}": (name, garments) for name in ANIMALS if name != animal}
    for name in GARMENTS:
        for colour in garment_colours(animal):  # others would not show on this animal
            if spec["garments"].get(name) != colour:
                others[f"with {colour} {name}"] = (animal, frozen(with_garment(spec, name, colour)))
    for name in spec["garments"]:
        others[f"without {name}"] = (animal, frozen(without_garment(spec, name)))
    return Hypotheses(lambda *what: _draw_animal(*what, background), (animal, garments), others)


def check_clock(image, spec):
    pixels, background = _pixels_and_background(image, spec)
    hours = [spec["hour"]] if spec["hour"] else range(1, 13)
    drawings = {hour: _draw_clock(spec["colour"], spec["frame"], hour, background) for hour in hours}
    pixels = aligned(pixels, drawings[hours[0]])
    hour = min(hours, key=lambda hour: error(pixels, drawings[hour]).mean())
    require_explained(pixels, drawings[hour], f"a {spec['colour']} {spec['frame']} clock")
    require_best(pixels, _clock_hypotheses(spec["colour"], spec["frame"], hour, background))


@lru_cache(maxsize=256)
def _draw_clock(colour, frame, hour, background):
    spec = {"colour": colour, "frame": frame, "hour": hour, "background": background}
    return prepared(clock.draw_at(spec, 128, 128, SIDE))


@lru_cache(maxsize=8)
def _clock_hypotheses(colour, frame, hour, background):
    others = {f"{other} o'clock": (colour, frame, other) for other in range(1, 13) if other != hour}
    others.update({other: (other, frame, hour) for other in COLOURS if other != colour})
    others.update({other: (colour, other, hour) for other in clock.FRAMES if other != frame})
    return Hypotheses(lambda *what: _draw_clock(*what, background), (colour, frame, hour), others)


def check_blocks(image, spec):
    pixels, wall = _pixels_and_wall(image)
    placement, drawing = fitted(pixels, spec, wall)
    require_explained(pixels, drawing, "such blocks")
    for name, other in _block_alternatives(spec):
        refitted = other["things"] != spec["things"] and name in SOLIDS
        shown = fitted(pixels, other, wall, placement)[1] if refitted else _draw_blocks(other, placement, wall)
        require_best(pixels, [Alternative(name, drawing, shown)])


def _pixels_and_wall(image):
    """The pixels and the wall's colour, taken from the top corners, which no solid reaches."""
    pixels = prepared(image)
    corners = np.concatenate([pixels[:20, :20].reshape(-1, 3), pixels[:20, -20:].reshape(-1, 3)])
    middle = np.median(corners, axis=0)
    return pixels, min(PALE, key=lambda name: np.linalg.norm(lab(PALE[name]) - middle))


def _draw_blocks(spec, placement, wall):
    return prepared(blocks.draw_scene(spec, placement, PALE[wall], SIDE))


def fitted(pixels, spec, wall, start=None):
    """The placement, within what the layout allows and a little more, that explains the picture best."""
    ends = PLACEMENTS[spec["layout"]]
    placement = dict(start or {name: (low + high) / 2 for name, (low, high) in ends.items()})
    drawing = _draw_blocks(spec, placement, wall)
    best = error(pixels, drawing).mean()
    for share in (0.5, 0.25, 0.12) if start is None else (0.15,):
        for name, (low, high) in ends.items():
            middle = placement[name]
            for step in (-2, -1, 1, 2) if share == 0.5 else (-1, 1):
                trial = {**placement, name: middle + step * share * (high - low) / 2}
                shown = _draw_blocks(spec, trial, wall)
                cost = error(pixels, shown).mean()
                if cost < best:
                    best, placement, drawing = cost, trial, shown
    return placement, drawing


def _block_alternatives(spec):
    """Specs with one other colour or one other solid."""
    for i, thing in enumerate(spec["things"]):
        solids = () if spec["layout"] == "stack" else BASES if spec["layout"] == "on" and i == 1 else SOLIDS
        changes = [("colour", colour) for colour in SOLID_COLOURS] + [("solid", solid) for solid in solids]
        for key, value in changes:
            if thing[key] != value:
                things = [{**other, key: value} if k == i else other for k, other in enumerate(spec["things"])]
                yield value, {**spec, "things": things}
