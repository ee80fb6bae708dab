"""Judges the clauses of descriptions one by one, from pixels. Flat shapes here, landscapes in check_sky.py.

A judge takes the reading of a picture and the words of a clause, and raises Wrong. Statements of more or less have a
tolerance: where something stands may be off by TOLERANCE.
"""

from functools import cached_property, lru_cache

import numpy as np
from scipy import ndimage

from . import check_shapes
from .check_shapes import (FOREGROUND, LARGE, MIN_PLAIN, MIN_PURITY, PAIR_LARGE, PAIR_SMALL, SMALL, Wrong)  # fmt: skip
from .describe import LARGER, RATIO_DOUBT, SHIFTED, rows_in, third
from .figures import outline
from .relation import DIRECTIONS
from .sentences import (COMPARED, CORNERS, COUNTED, FILLINGS, NAMED, PLACES, ROWS, SHIFTS, SIZES, SPREADS)

TOLERANCE = 2.0  # units by which a middle may be beside the place that is said
RATIO_SLACK = RATIO_DOUBT**0.5  # by which a ratio of two radii may be off
FLAT = 0.9  # share of the border that must have the background's colour
SAME_SIZE = 1.2  # ratio of two radii up to which they pass for one size
MIN_OUTER, MIN_INNER = 3000, 400  # pixels of a thing that may have another one inside, and of that one


class Shapes:
    """What is read of flat shapes; each part when it is first asked for."""

    def __init__(self, image):
        self.image = image
        self.pixels = check_shapes.pixels_lab(image)

    @cached_property
    def background(self):
        colour = check_shapes.background_of(self.pixels)
        border = np.ones(self.pixels.shape[:2], bool)
        border[check_shapes.BORDER : -check_shapes.BORDER, check_shapes.BORDER : -check_shapes.BORDER] = False
        if (np.linalg.norm(self.pixels[border] - colour, axis=-1) < FOREGROUND).mean() < FLAT:
            raise Wrong("it has no plain background")
        return colour

    @cached_property
    def filled(self):
        """The mask of each thing with what is in it."""
        far = np.linalg.norm(self.pixels - self.background, axis=-1) > FOREGROUND
        return check_shapes.pieces(ndimage.binary_fill_holes(ndimage.binary_opening(far)))

    @cached_property
    def whole(self):
        """The lone thing, its holes filled."""
        check_shapes.need(self.filled, 1)
        return check_shapes.segment_of(self.pixels, self.filled[0])

    @cached_property
    def things(self):
        """All plain things, and of a lone one that which is inside of it; a pattern is many and counts as none."""
        found = check_shapes.segments(self.pixels, self.background)
        if not found:
            raise Wrong("there is nothing in it")
        if len(self.filled) > 1:
            return found
        if self.filled[0].sum() < MIN_OUTER:
            return [self.whole]
        outer, inner = check_shapes.nested(self.pixels, found[0] if len(found) == 1 else self.whole)
        return [outer, *inner] if len(inner) == 1 and inner[0].mask.sum() > MIN_INNER else [self.whole]

    @property
    def middles(self):
        return np.array([thing.centre for thing in self.things])

    def named(self, name):
        """The thing of this colour and shape, of which there must be one."""
        if name == "shape":
            return self.whole
        colour, shape = NAMED[name]
        found = [thing for thing in self.things if check_shapes.matches(thing, {"colour": colour, "shape": shape})]
        if len(found) != 1:
            raise Wrong(f"there is no {name}" if not found else f"there are {len(found)} of {name}")
        return found[0]

    def radius(self, name):
        thing = self.named(name)
        return radius_of(thing, shape_of(thing) if name == "shape" else NAMED[name][1])


def radius_of(thing, shape):
    """From its area, which a blurred tip changes less than its box."""
    return (thing.mask.sum() / area(shape)) ** 0.5


@lru_cache(maxsize=None)
def area(shape):
    """Of the shape of radius 1 (the shoelace formula)."""
    xs, ys = np.array(outline(shape, 0, 0, 1)).T
    return abs(xs @ np.roll(ys, -1) - np.roll(xs, -1) @ ys) / 2


def shape_of(thing):
    found = check_shapes.fits(thing)
    return max(found, key=found.get)


def require(right, why):
    if not right:
        raise Wrong(why)


def near_zone(value, low, high):
    return low - TOLERANCE < value < high + TOLERANCE


def background(shapes, words):
    found = check_shapes.background_name(shapes.background)
    require(found == words["background"], f"the background is {found}, not {words['background']}")


def size(shapes, words):
    small, large = (SMALL, LARGE) if words["thing"] == "shape" else (PAIR_SMALL, PAIR_LARGE)
    radius = shapes.radius(words["thing"])
    found = SIZES[int(radius > small) + int(radius > large)]
    require(found == words["size"], f"the {words['thing']} is {found}, not {words['size']}")


def compare(shapes, words):
    ratio = shapes.radius(words["first"]) / shapes.radius(words["second"])
    ends = {COMPARED[0]: (0, 1 / LARGER), COMPARED[1]: (1 / LARGER, LARGER), COMPARED[2]: (LARGER, np.inf)}
    low, high = ends[words["compared"]]
    right = low / RATIO_SLACK < ratio < high * RATIO_SLACK
    require(right, f"the {words['first']} is not {words['compared']} the {words['second']}")


def where(shapes, words):
    (x, y), wanted = shapes.whole.centre, {text: shift for shift, text in SHIFTS.items()}[words["where"]]
    ends = {-1: (-np.inf, -SHIFTED), 0: (-SHIFTED, SHIFTED), 1: (SHIFTED, np.inf)}
    right = all(near_zone(value + 0.5 - 128, *ends[shift]) for value, shift in zip((x, y), wanted))
    require(right, f"it is not {words['where']}")


def place(shapes, words):
    row, column = next((j, i) for j in range(3) for i in range(3) if PLACES[j][i] == words["place"])
    middle = shapes.named(words["thing"]).centre
    right = all(near_zone(v + 0.5, k * 256 / 3, (k + 1) * 256 / 3) for v, k in zip(middle, (column, row)))
    require(right, f"the {words['thing']} is not {words['place']}")


def filling(shapes, words):
    colour, texture = FILLINGS[words["filling"]]
    whole = shapes.whole
    if texture:
        spec = {"colour": colour, "texture": texture}
        check_shapes.check_texture(shapes.pixels, check_shapes.core_of(whole.mask), spec)
    else:
        plain = whole.name == colour and whole.purity >= MIN_PLAIN
        require(plain, f"it is not plain {colour}")


def corners(shapes, words):
    shape = shape_of(shapes.whole)
    require(CORNERS[shape] == words["corners"], f"it is a {shape}, which has {CORNERS[shape]}")


def direction(shapes, words):
    first, second = (shapes.named(words[key]) for key in ("first", "second"))
    word = words["direction"]
    if word in DIRECTIONS:
        require(not encloses(first, second) and not encloses(second, first), "one is inside the other")
        check_shapes.check_direction(first, second, word)
    else:
        outer, inner = (second, first) if word == "inside" else (first, second)
        require(encloses(outer, inner), f"the {words['first']} is not {word} the {words['second']}")


def encloses(outer, inner):
    return (outer.mask & inner.mask).sum() > 0.9 * inner.mask.sum() and outer.mask.sum() > inner.mask.sum()


def number(shapes, words):
    found = len(shapes.things)
    require(found == COUNTED[words["number"]], f"there are {found} things")


def rows(shapes, words):
    found = rows_in(shapes.middles[:, 1])
    require(found == ROWS[words["rows"]], f"the rows from the top have {', '.join(map(str, found))} things")


def spread(shapes, words):
    found = np.bincount([third(x + 0.5) for x in shapes.middles[:, 0]], minlength=3).tolist()
    require(found == list(SPREADS[words["spread"]]), f"from left to right there are {found} things")


def equal(shapes, words):
    sizes = [radius_of(thing, shape_of(thing)) for thing in shapes.things]
    require(max(sizes) < SAME_SIZE * min(sizes), "their sizes differ")


def each_colour(shapes, words):
    for thing in shapes.things:
        right = thing.name == words["colour"] and thing.purity >= MIN_PURITY
        require(right, f"one is a {check_shapes.describe(thing)}")


def each_shape(shapes, words):
    shape = words["kind"].split(" ")[1]
    for thing in shapes.things:
        require(check_shapes.is_shape(thing, shape), f"one is a {check_shapes.describe(thing)}")


JUDGES = {
    "background": background,
    "size": size,
    "compare": compare,
    "where": where,
    "place": place,
    "filling": filling,
    "corners": corners,
    "direction": direction,
    "number": number,
    "rows": rows,
    "spread": spread,
    "equal": equal,
    "each colour": each_colour,
    "each shape": each_shape,
}
