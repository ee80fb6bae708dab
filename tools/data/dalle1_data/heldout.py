"""Combinations that no training picture shows, whatever its kind: what the model draws of them it has composed itself.

Each function names the reason why something is held out, or returns None.
"""

from .rng import hashed_share

# Two shapes a colour and two colours a shape: 20 pairs of 100.
HELD_OUT_SHAPES = {
    "red": ("star", "hexagon"),
    "orange": ("circle", "cross"),
    "yellow": ("square", "heart"),
    "green": ("pentagon", "crescent"),
    "blue": ("diamond", "triangle"),
    "purple": ("circle", "star"),
    "pink": ("triangle", "hexagon"),
    "brown": ("heart", "diamond"),
    "black": ("crescent", "square"),
    "white": ("pentagon", "cross"),
}
HELD_OUT_SOLIDS = {
    "red": "cone",
    "orange": "cube",
    "yellow": "cylinder",
    "green": "ball",
    "blue": "pyramid",
    "purple": "cylinder",
    "pink": "ball",
    "brown": "cone",
}
HELD_OUT_LANDSCAPES = {("beach", "at night"), ("desert", "at sunrise"), ("forest", "at sunset"), ("city", "at noon")}
WHOLE_CAPTIONS = 0.10
GARMENTS = 0.08
COLOURED_THINGS = 0.10
EMOJI_STYLES = 0.05
_MIRRORED = {"below": "above", "to the right of": "to the left of"}


def coloured_shape(colour, shape):
    return "pair" if shape in HELD_OUT_SHAPES.get(colour, ()) else None


def coloured_solid(colour, solid):
    return "pair" if HELD_OUT_SOLIDS.get(colour) == solid else None


def relation(first, word, second):
    """A tenth of all (thing, relation, thing), the same whichever way round it is said."""
    if word in _MIRRORED:
        first, word, second = second, _MIRRORED[word], first
    if word == "and":
        first, second = sorted((first, second))
    return "caption" if hashed_share(WHOLE_CAPTIONS, "relation", first, word, second) else None


def counted(number, thing):
    return "caption" if hashed_share(WHOLE_CAPTIONS, "count", number, thing) else None


def stack(colours):
    return "caption" if hashed_share(WHOLE_CAPTIONS, "stack", *colours) else None


def clock_time(colour, shape, hour):
    return "caption" if hashed_share(WHOLE_CAPTIONS, "clock", colour, shape, hour) else None


def garment(animal, name, colour):
    return "garment" if hashed_share(GARMENTS, "garment", animal, name, colour) else None


def portrait(hair, style, shirt):
    return "caption" if hashed_share(WHOLE_CAPTIONS, "portrait", hair, style, shirt) else None


def landscape(place, time):
    return "caption" if (place, time) in HELD_OUT_LANDSCAPES else None


def coloured_thing(colour, name):
    return "pair" if hashed_share(COLOURED_THINGS, "coloured", colour, name) else None


def emoji_style(code, style):
    return "style" if hashed_share(EMOJI_STYLES, "style", code, style) else None


def thing_in_scene(name, place, time):
    return "caption" if hashed_share(WHOLE_CAPTIONS, "scene", name, place, time) else None
