"""Reads flat shapes back from pixels, by segments of colour and the geometry of each, and compares with a caption.

Nothing here knows how or where a picture was drawn. Lengths are in pixels of a 256 pixel picture.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from .figures import CONTAINERS, SHAPES, outline
from .palette import BACKGROUNDS, COLOURS, lab, lighter
from .relation import DIRECTIONS

SIDE = 256
BORDER = 6
FOREGROUND = 16  # Lab distance from the background that makes a pixel part of a thing
MIN_AREA = 90  # smaller specks are noise of a decoder, not things
MAX_COLOUR_ERROR = 30  # Lab distance of a thing's colour from the colour it is said to have
MIN_PURITY = 0.85  # share of a plain thing's inner pixels that are nearest to its colour
MIN_PLAIN = 0.94  # the same for a lone thing, where dots must not pass
MIN_FIT = 0.7  # overlap of a thing with the outline of its shape
FIT_TIE = 0.015  # a shape that fits this much less well than the best may still be it
MIN_CLEAR_FIT, CLEAR_LEAD = 0.6, 0.12  # less overlap will do where no other shape comes near
TEMPLATE = 56
SMALL, LARGE = 43, 80  # radii between which a lone shape is neither small nor large
PAIR_SMALL, PAIR_LARGE = 34, 47  # the same where there are two
MIN_STEP = 40  # least distance of two centres along the stated direction
_NAMES = list(COLOURS)
_COLOURS_LAB = lab(list(COLOURS.values()))
_BACKGROUND_NAMES = list(BACKGROUNDS)
_BACKGROUNDS_LAB = lab(list(BACKGROUNDS.values()))


class Wrong(Exception):
    """Why a picture does not show its caption."""


@dataclass
class Segment:
    """A connected thing: its mask, its colour (RGB and name), where it is."""

    mask: np.ndarray
    colour: np.ndarray
    name: str
    purity: float

    @property
    def centre(self):
        y, x = ndimage.center_of_mass(self.mask)
        return x, y

    @property
    def box(self):
        ys, xs = np.nonzero(self.mask)
        return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def pixels_lab(image):
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.BICUBIC)
    return lab(np.asarray(image.convert("RGB").filter(ImageFilter.MedianFilter(3))))


def background_of(pixels):
    edges = (pixels[:BORDER], pixels[-BORDER:], pixels[:, :BORDER], pixels[:, -BORDER:])
    return np.median(np.concatenate([edge.reshape(-1, 3) for edge in edges]), axis=0)


def background_name(colour):
    return _BACKGROUND_NAMES[int(np.linalg.norm(_BACKGROUNDS_LAB - colour, axis=-1).argmin())]


def check_background(pixels, wanted):
    found = background_name(background_of(pixels))
    if wanted and found != wanted:
        raise Wrong(f"the background is {found}, not {wanted}")


def segments(pixels, background, within=None):
    """All things that stand out from `background`, largest first."""
    far = np.linalg.norm(pixels - background, axis=-1) > FOREGROUND
    if within is not None:
        far &= within
    found = []
    for mask in pieces(ndimage.binary_opening(far)):
        found += split(pixels, background, mask)
    return sorted(found, key=lambda segment: -segment.mask.sum())


def pieces(mask):
    """The connected parts of a mask that are not specks."""
    labels, count = ndimage.label(mask)
    areas = ndimage.sum_labels(mask, labels, range(1, count + 1))
    return [labels == index + 1 for index, area in enumerate(areas) if area >= MIN_AREA]


def split(pixels, background, mask):
    """The segments in `mask`: its edge is moved to half way between its colour and the background's.

    That may part two things whose blurred edges met.
    """
    colour = np.median(pixels[core_of(mask)], axis=0)
    step = colour - background
    share = (pixels - background) @ step / max(1e-6, step @ step)
    sharp = ndimage.binary_dilation(mask, iterations=2) & (share > 0.5)
    return [segment_of(pixels, part) for part in pieces(sharp) or [mask]]


def segment_of(pixels, mask):
    inner = pixels[core_of(mask)]
    colour = np.median(inner, axis=0)
    purity = float((np.linalg.norm(inner - colour, axis=-1) < MAX_COLOUR_ERROR).mean())
    return Segment(mask, colour, colour_name(colour), purity)


def colour_name(colour):
    distances = np.linalg.norm(_COLOURS_LAB - colour, axis=-1)
    return _NAMES[int(distances.argmin())] if distances.min() <= MAX_COLOUR_ERROR else "other"


def core_of(mask):
    for iterations in (4, 3, 2, 1):
        core = ndimage.binary_erosion(mask, iterations=iterations)
        if core.sum() > 40:
            return core
    return mask


@lru_cache(maxsize=None)
def template(shape):
    """The shape's soft mask and the size of its box, in units of its radius."""
    big = 4 * TEMPLATE
    points = outline(shape, 0, 0, 1)
    xs, ys = zip(*points)
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    image = Image.new("L", (big, big))
    stretched = [((x - min(xs)) / width * big, (y - min(ys)) / height * big) for x, y in points]
    ImageDraw.Draw(image).polygon(stretched, fill=255)
    return np.asarray(image.resize((TEMPLATE, TEMPLATE), Image.BOX), float) / 255, (width, height)


def fits(segment):
    """How well each shape covers the segment, 0 to 1: overlap of outlines, less for a wrong aspect."""
    x0, y0, x1, y1 = segment.box
    cut = Image.fromarray((segment.mask[y0:y1, x0:x1] * 255).astype("uint8"))
    soft = np.asarray(cut.resize((TEMPLATE, TEMPLATE), Image.BOX), float) / 255
    result = {}
    for shape in SHAPES:
        mask, (width, height) = template(shape)
        overlap = np.minimum(soft, mask).sum() / np.maximum(soft, mask).sum()
        aspect = ((x1 - x0) / (y1 - y0)) / (width / height)
        result[shape] = overlap * min(aspect, 1 / aspect) ** 0.5
    return result


def is_shape(segment, shape):
    found = fits(segment)
    fit = found.pop(shape)
    lead = fit - max(found.values())
    return (fit >= MIN_FIT and lead >= -FIT_TIE) or (fit >= MIN_CLEAR_FIT and lead >= CLEAR_LEAD)


def radius_of(segment, shape):
    x0, y0, x1, y1 = segment.box
    _, (width, height) = template(shape)
    return ((x1 - x0) / width + (y1 - y0) / height) / 2


def describe(segment):
    found = fits(segment)
    return f"{segment.name} {max(found, key=found.get)}"


def matches(segment, thing):
    return segment.name == thing["colour"] and segment.purity >= MIN_PURITY and is_shape(segment, thing["shape"])


def need(segments_found, number):
    if len(segments_found) != number:
        raise Wrong(f"{len(segments_found)} things, not {number}")


def check_size(segment, thing, small, large):
    if thing.get("size") is None:
        return
    radius = radius_of(segment, thing["shape"])
    if (thing["size"] == "small" and radius > small) or (thing["size"] == "large" and radius < large):
        raise Wrong(f"the {describe(segment)} is not {thing['size']}")


def check_shape(image, spec):
    pixels = pixels_lab(image)
    check_background(pixels, spec["background"])
    background = background_of(pixels)
    far = np.linalg.norm(pixels - background, axis=-1) > FOREGROUND
    parts = pieces(ndimage.binary_fill_holes(ndimage.binary_opening(far)))
    need(parts, 1)
    if spec["texture"]:
        whole = segment_of(pixels, parts[0])
    else:
        found = segments(pixels, background)
        need(found, 1)
        whole = segment_of(pixels, ndimage.binary_fill_holes(found[0].mask))
    if not is_shape(whole, spec["shape"]):
        raise Wrong(f"it is a {describe(whole)}")
    if spec["texture"]:
        check_texture(pixels, core_of(whole.mask), spec)
    elif whole.name != spec["colour"] or whole.purity < MIN_PLAIN:
        raise Wrong(f"it is a {describe(whole)}, {whole.purity:.0%} of it of that colour")
    check_size(whole, spec, SMALL, LARGE)


def check_texture(pixels, core, spec):
    """The inside of a lone shape: its colour, and stripes or dots of a paler tint."""
    colour, pale = (lab(rgb) for rgb in (COLOURS[spec["colour"]], lighter(COLOURS[spec["colour"]], 0.85)))
    step = pale - colour
    share = np.clip((pixels - colour) @ step / max(1e-6, step @ step), 0, 1)
    dark = core & (share < 0.3)
    if dark.sum() < 0.15 * core.sum():
        raise Wrong(f"there is little {spec['colour']} in it")
    found = colour_name(np.median(pixels[dark], axis=0))
    if found != spec["colour"]:
        raise Wrong(f"its colour is {found}")
    if texture_of(share, core) != spec["texture"]:
        raise Wrong(f"it is not {spec['texture']}")


def texture_of(share, core):
    """striped, dotted or neither, from the share of the pale tint in each pixel."""
    pale = core & (share > 0.5)
    covered = pale.sum() / core.sum()
    columns = core.sum(0) >= 8
    by_column = (pale.sum(0) / np.maximum(1, core.sum(0)))[columns]
    contrast = np.abs(2 * by_column - 1).mean()
    _, spots = ndimage.label(ndimage.binary_opening(pale))
    if 0.3 < covered < 0.7 and contrast > 0.7 and spots >= 2:
        return "striped"
    if 0.05 < covered < 0.35 and spots >= 5:
        return "dotted"
    return None


def check_count(image, spec):
    pixels = pixels_lab(image)
    check_background(pixels, spec["background"])
    found = segments(pixels, background_of(pixels))
    need(found, spec["number"])
    for segment in found:
        if not matches(segment, spec):
            raise Wrong(f"one is a {describe(segment)}")


def check_relation(image, spec):
    pixels = pixels_lab(image)
    check_background(pixels, spec["background"])
    found = segments(pixels, background_of(pixels))
    if spec["relation"] == "inside":
        check_inside(pixels, found, spec)
        return
    need(found, 2)
    pairs = [found, found[::-1]]
    fitting = [(a, b) for a, b in pairs if matches(a, spec["first"]) and matches(b, spec["second"])]
    if not fitting:
        raise Wrong("there are a " + " and a ".join(describe(segment) for segment in found))
    first, second = fitting[0]
    check_direction(first, second, spec["relation"])
    for segment, thing in ((first, spec["first"]), (second, spec["second"])):
        check_size(segment, thing, PAIR_SMALL, PAIR_LARGE)


def check_direction(first, second, word):
    if word == "and":
        return
    dx, dy = DIRECTIONS[word]
    x, y = (a - b for a, b in zip(first.centre, second.centre))
    along, across = x * dx + y * dy, abs(x * dy) + abs(y * dx)
    if along < MIN_STEP or across > along:
        raise Wrong(f"the {describe(first)} is not {word} the {describe(second)}")


def check_inside(pixels, found, spec):
    need(found, 1)
    outer, inner = nested(pixels, found[0])
    if not matches(outer, spec["second"]) or spec["second"]["shape"] not in CONTAINERS:
        raise Wrong(f"the outer one is a {describe(outer)}")
    need(inner, 1)
    if not matches(inner[0], spec["first"]):
        raise Wrong(f"the inner one is a {describe(inner[0])}")


def nested(pixels, segment):
    """The lone thing as a whole, and what is inside of it."""
    # Not the outer segment alone: a notch in it may reach the inner thing, and then it has no hole.
    far = np.linalg.norm(pixels - background_of(pixels), axis=-1) > FOREGROUND
    solid = ndimage.binary_erosion(ndimage.binary_fill_holes(ndimage.binary_opening(far)), iterations=3)
    whole = ndimage.binary_fill_holes(segment.mask | solid)
    rim = whole & ~ndimage.binary_erosion(whole, iterations=9)
    outer_colour = np.median(pixels[ndimage.binary_erosion(rim, iterations=2)], axis=0)
    outer = Segment(whole, outer_colour, colour_name(outer_colour), 1.0)
    return outer, segments(pixels, outer_colour, ndimage.binary_erosion(whole, iterations=5))
