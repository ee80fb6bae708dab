"""Descriptions: captions that say all of the spec and of the layout that was drawn, a sentence for each.

A description is a list of clauses (see sentences.py). A statement that a picture leaves in doubt, such as which third of the
sky a sun behind houses stands in, is not made.
"""

import math

import numpy as np

from . import count, kinds, landscape, relation, shape
from .figures import outline
from .relation import DIRECTIONS
from .sentences import (AROUND, COMPARED, CORNERS, GROUNDS, HEIGHTS, HOURS, PLACES, SHIFTS, SIDES, SIZES, SKIES, TEXTURES, VIEWS,
                        banks_of, number_of, rows_of, spread_of, write)  # fmt: skip
from .words import with_article

# Of the main clause, those of the surroundings and those of details.
ORDERS = ((0, 1, 2), (1, 0, 2), (0, 2, 1))
SHIFTED = 10  # units from the middle of the picture from where on a thing is beside it
LARGER = 1.12  # ratio of two radii from where on one is larger
RATIO_DOUBT = 1.06  # a ratio nearer to that one leaves it in doubt
ROW_STEP = 25  # units between rows, at least
THIRDS = (256 / 3, 512 / 3)  # where thirds of the picture end
CLEAR_OF_THIRDS = 8  # units that all of several things must be away from where a third ends
BESIDE = 12  # units between the middle of the sun and the nearest cloud
LIGHT_DOUBT = 8.0  # units from where a third ends within which the sun or moon is in doubt
HALF_SEEN = 0.5  # share of the sun or moon that must show
MUCH_CLOUD, LITTLE_CLOUD = 0.02, 0.002  # shares of a third's sky that make clouds, and none
CLOUD_ROWS = 27 / 64  # share of the picture's height in which clouds are looked for


def description(kind, spec, drawn, rng):
    """The text; `drawn` is the stream of choices that draws the picture, `rng` chooses order and words."""
    return ". ".join(write(clause, rng) for clause in ordered(parts(kind, spec, drawn), rng))


def ordered(three, rng):
    return [clause for index in rng.choice(ORDERS) for clause in three[index]]


def parts(kind, spec, drawn):
    """Clauses of the subject, the surroundings and the details; the caption's are its kind, its spec and its text."""
    return _PARTS[kind](spec, drawn)


def caption_clause(kind, spec):
    return "caption", {"kind": kind, "spec": spec, "caption": kinds.KINDS[kind].caption(spec)}


def third(value, side=256):
    return min(2, int(3 * value / side))


def place_of(x, y):
    return PLACES[third(y)][third(x)]


def centroid(thing, x, y, radius):
    """The middle of the drawn outline's area (the shoelace formula)."""
    xs, ys = np.array(outline(thing["shape"], x, y, radius)).T
    cross = xs * np.roll(ys, -1) - np.roll(xs, -1) * ys
    return tuple(((v + np.roll(v, -1)) * cross).sum() / (3 * cross.sum()) for v in (xs, ys))


def _background(spec):
    return "background", {"background": spec["background"]}


def _shape(spec, drawn):
    [placed] = shape.layout(spec, drawn)
    shift = tuple(int(abs(v - 128) > SHIFTED) * (1 if v > 128 else -1) for v in centroid(*placed))
    details = [
        ("size", {"thing": "shape", "size": spec["size"] or SIZES[1]}),
        ("filling", {"filling": TEXTURES[spec["texture"]].format(spec["colour"])}),
        ("where", {"where": SHIFTS[shift]}),
        ("corners", {"corners": CORNERS[spec["shape"]]}),
        ("number", {"number": number_of(1)}),
    ]
    return [caption_clause("shape", spec)], [_background(spec)], details


def _relation(spec, drawn):
    placed = relation.layout(spec, drawn)
    first, second = placed[::-1] if spec["relation"] == "inside" else placed
    names = [f"{spec[key]['colour']} {spec[key]['shape']}" for key in ("first", "second")]
    middles = [centroid(*thing) for thing in (first, second)]
    ratio = first[3] / second[3]
    details = [("place", {"thing": name, "place": place_of(*middle)}) for name, middle in zip(names, middles)]
    if all(abs(math.log(ratio / end)) > math.log(RATIO_DOUBT) for end in (LARGER, 1 / LARGER)):
        compared = COMPARED[1 + int(ratio > LARGER) - int(ratio < 1 / LARGER)]
        details.append(("compare", {"first": names[0], "compared": compared, "second": names[1]}))
    word = direction(spec, *middles[::-1])
    details.append(("direction", {"first": names[1], "direction": word, "second": names[0]}))
    return [caption_clause("relation", spec)], [_background(spec), ("number", {"number": number_of(2)})], details


def direction(spec, middle, other):
    """What the second thing of a relation is to the first, as drawn."""
    if spec["relation"] in AROUND:
        return AROUND[spec["relation"]]
    dx, dy = middle[0] - other[0], middle[1] - other[1]
    return max(DIRECTIONS, key=lambda word: dx * DIRECTIONS[word][0] + dy * DIRECTIONS[word][1])


def _count(spec, drawn):
    middles = np.array([centroid(*thing) for thing in count.layout(spec, drawn)])
    details = [("rows", {"rows": rows_of(rows_in(middles[:, 1]))}), ("equal", {})]
    if all(abs(x - end) > CLEAR_OF_THIRDS for x in middles[:, 0] for end in THIRDS):
        counts = np.bincount([third(x) for x in middles[:, 0]], minlength=3)
        details.append(("spread", {"spread": spread_of(counts)}))
    details += [("each colour", {"colour": spec["colour"]}), ("each shape", {"kind": with_article(spec["shape"])})]
    return [caption_clause("count", spec)], [_background(spec)], details


def rows_in(heights):
    """How many things stand in each row, from the top; rows are further apart than things in one may be."""
    heights = np.sort(heights)
    starts = np.flatnonzero(np.diff(heights, prepend=-np.inf) > ROW_STEP)
    return tuple(np.diff([*starts, len(heights)]).tolist())


def _landscape(spec, drawn):
    seen = landscape.layout(spec, drawn)
    time, place = spec["time"], spec["place"]
    return (
        [caption_clause("landscape", spec)],
        [("sky", {"sky": SKIES[time]}), ("ground", {"ground": GROUNDS[place]}), ("view", {"view": VIEWS[place]})],
        [("hour", {"hour": HOURS[time]}), *_light(seen, time), *_clouds(seen, place)],
    )


def _light(seen, time):
    radius = landscape.LIGHT_RADII.get(time, 0) / 256 * len(seen.get("light", ()))
    shown = seen["light"].sum() / (np.pi * radius**2) if radius else 0
    if shown > HALF_SEEN:
        middle = middle_of(seen["light"])
        if all(abs(middle - end) > LIGHT_DOUBT for end in THIRDS):
            light = {"light": "moon" if time == "at night" else "sun", "side": SIDES[third(middle)]}
            yield "light", {**light, "height": HEIGHTS[int(time in landscape.LOW)]}
    elif shown == 0:
        yield "no light", {}


def middle_of(mask):
    """The mean of its columns, in units."""
    return (np.nonzero(mask)[1].mean() + 0.5) / mask.shape[1] * 256


def _clouds(seen, place):
    """Nothing is said of clouds behind mountains, whose tops are as white."""
    if "clouds" not in seen:
        yield "no clouds", {}
        return
    shares = cloud_shares(seen["clouds"])
    if place == "mountains" or any(LITTLE_CLOUD < share < MUCH_CLOUD for share in shares):
        return
    if (shares > MUCH_CLOUD).any():
        yield "clouds", {"banks": banks_of(shares > MUCH_CLOUD)}
        yield from _beside(seen)


def _beside(seen):
    """Where the sun is that has all clouds on one side."""
    if "light" in seen and seen["light"].any():
        sun, clouds = middle_of(seen["light"]), (np.nonzero(seen["clouds"])[1] + 0.5) / seen["clouds"].shape[1] * 256
        if abs(clouds - sun).min() > BESIDE and (clouds.min() > sun or clouds.max() < sun):
            word = "to the left of" if clouds.min() > sun else "to the right of"
            yield "beside", {"light": "sun", "beside": word}


def cloud_shares(mask):
    """Of each third of the upper sky, the share that is cloud."""
    sky = mask[: int(CLOUD_ROWS * len(mask))]
    return np.array([part.mean() for part in np.array_split(sky, 3, axis=1)])


_PARTS = {"shape": _shape, "relation": _relation, "count": _count, "landscape": _landscape}
