"""Captions that are wrong by one attribute: of a colour, a shape, a count, a relation, a garment, an hour.

They prove that the checker looks, serve as the control of an evaluation, and as hard negatives of CLIP.
"""

from copy import deepcopy

from . import animal, clock
from .animal_art import ANIMALS
from .blocks import BASES, SOLIDS, SOLID_COLOURS
from .count import WEIGHTS as COUNTS
from .figures import CONTAINERS, SHAPES
from .landscape import NAMES as PLACES, TIMES
from .palette import COLOURS
from .portrait import HAIR, STYLES
from .relation import DIRECTIONS
from .shape import TEXTURES

_REVERSED = {
    "above": "below",
    "below": "above",
    "to the left of": "to the right of",
    "to the right of": "to the left of",
    "inside": "above",
}


def near_misses(kind, spec, rng):
    """Specs that differ from `spec` in one attribute, by the attribute's name."""
    return _MAKERS[kind](spec, rng) if kind in _MAKERS else {}


def _changed(spec, path, value):
    copy = deepcopy(spec)
    *parents, last = path
    inner = copy
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return copy


def _other(rng, options, *taken):
    return rng.choice([option for option in options if option not in taken])


def _shape(spec, rng):
    result = {
        "colour": _changed(spec, ("colour",), _other(rng, COLOURS, spec["colour"])),
        "shape": _changed(spec, ("shape",), _other(rng, SHAPES, spec["shape"])),
    }
    if spec["colour"] != "white":
        result["texture"] = _changed(spec, ("texture",), _other(rng, (*TEXTURES, None), spec["texture"]))
    if spec["size"]:
        result["size"] = _changed(spec, ("size",), {"small": "large", "large": "small"}[spec["size"]])
    return result


def _relation(spec, rng):
    first, second = spec["first"], spec["second"]
    result = {}
    for which in ("first", "second"):
        thing = spec[which]
        shapes = CONTAINERS if which == "second" and spec["relation"] == "inside" else SHAPES
        result[f"{which} colour"] = _changed(spec, (which, "colour"), _other(rng, COLOURS, thing["colour"]))
        result[f"{which} shape"] = _changed(spec, (which, "shape"), _other(rng, shapes, thing["shape"]))
    if spec["relation"] in _REVERSED:
        result["relation reversed"] = _changed(spec, ("relation",), _REVERSED[spec["relation"]])
    if spec["relation"] in DIRECTIONS:
        turned = _other(rng, DIRECTIONS, spec["relation"], _REVERSED[spec["relation"]])
        result["relation turned"] = _changed(spec, ("relation",), turned)
    if first["colour"] != second["colour"] and first["shape"] != second["shape"]:
        swapped = _changed(spec, ("first", "colour"), second["colour"])
        result["colours swapped"] = _changed(swapped, ("second", "colour"), first["colour"])
    if first["size"]:
        swapped = _changed(spec, ("first", "size"), second["size"])
        result["sizes swapped"] = _changed(swapped, ("second", "size"), first["size"])
    return result


def _count(spec, rng):
    neighbours = [n for n in COUNTS if abs(n - spec["number"]) == 1]
    return {
        "number": _changed(spec, ("number",), rng.choice(neighbours)),
        "colour": _changed(spec, ("colour",), _other(rng, COLOURS, spec["colour"])),
        "shape": _changed(spec, ("shape",), _other(rng, SHAPES, spec["shape"])),
    }


def _animal(spec, rng):
    worn = spec["garments"]
    name = rng.choice(list(worn))
    colours = animal.garment_colours(spec["animal"])
    result = {
        "garment colour": _changed(spec, ("garments", name), _other(rng, colours, worn[name])),
        "animal": _changed(spec, ("animal",), _other(rng, ANIMALS, spec["animal"])),
        "garment added": with_garment(spec, _other(rng, animal.GARMENTS, *worn), rng.choice(colours)),
    }
    if len(worn) > 1:
        result["garment removed"] = without_garment(spec, name)
        other = _other(rng, worn, name)
        if worn[name] != worn[other]:
            swapped = _changed(spec, ("garments", name), worn[other])
            result["colours swapped"] = _changed(swapped, ("garments", other), worn[name])
    return result


def with_garment(spec, name, colour):
    worn = {**spec["garments"], name: colour}
    return {**spec, "garments": {key: worn[key] for key in animal.GARMENTS if key in worn}}


def without_garment(spec, name):
    return {**spec, "garments": {key: colour for key, colour in spec["garments"].items() if key != name}}


def _clock(spec, rng):
    return {
        "colour": _changed(spec, ("colour",), _other(rng, COLOURS, spec["colour"], "white")),
        "frame": _changed(spec, ("frame",), _other(rng, clock.FRAMES, spec["frame"])),
        "hour": _changed(spec, ("hour",), _other(rng, range(1, 13), spec["hour"])),
    }


def _blocks(spec, rng):
    things = spec["things"]
    i = rng.integer(0, len(things) - 1)
    taken = [thing["colour"] for thing in things]
    result = {"colour": _changed(spec, ("things", i, "colour"), _other(rng, SOLID_COLOURS, *taken))}
    if spec["layout"] != "stack":
        solids = BASES if spec["layout"] == "on" and i == 1 else SOLIDS
        result["solid"] = _changed(spec, ("things", i, "solid"), _other(rng, solids, things[i]["solid"]))
    if len(things) > 1:
        j = rng.choice([k for k in range(len(things)) if k != i])
        swapped = _changed(spec, ("things", i, "colour"), things[j]["colour"])
        result["colours swapped"] = _changed(swapped, ("things", j, "colour"), things[i]["colour"])
    if spec["word"]:
        result["relation reversed"] = _changed(spec, ("word",), _REVERSED[spec["word"]])
    return result


def _landscape(spec, rng):
    return {
        "place": _changed(spec, ("place",), _other(rng, list(PLACES), spec["place"])),
        "time": _changed(spec, ("time",), _other(rng, TIMES, spec["time"])),
    }


def _portrait(spec, rng):
    result = {
        "hair": _changed(spec, ("hair",), _other(rng, list(HAIR), spec["hair"])),
        "style": _changed(spec, ("style",), _other(rng, STYLES, spec["style"])),
        "shirt": _changed(spec, ("shirt",), _other(rng, COLOURS, spec["shirt"], spec["extra_colour"])),
    }
    if spec["extra"]:
        swapped = _changed(spec, ("shirt",), spec["extra_colour"])
        result["colours swapped"] = _changed(swapped, ("extra_colour",), spec["shirt"])
    return result


_MAKERS = {
    "shape": _shape,
    "relation": _relation,
    "count": _count,
    "animal": _animal,
    "clock": _clock,
    "blocks": _blocks,
    "landscape": _landscape,
    "portrait": _portrait,
}
