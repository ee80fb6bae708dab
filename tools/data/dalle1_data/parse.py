"""Reads captions back: from the text of a drawn kind to what its picture must show.

The result has the fields of the kind's spec that the text states; what it leaves open is None.
"""

import re

from .animal import GARMENTS
from .animal_art import ANIMALS
from .blocks import SOLIDS, SOLID_COLOURS
from .clock import FRAMES
from .count import WEIGHTS as COUNTS
from .figures import SHAPES
from .landscape import NAMES as PLACES, TIMES
from .palette import BACKGROUNDS, COLOURS
from .relation import RELATIONS
from .shape import TEXTURES
from .words import NUMBERS, plural


def _any(words):
    return "(?:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)) + ")"


_COLOUR = _any(COLOURS)
_PREFIX = re.compile(r"^an? (?:picture|drawing|group|3d render|painting|view) of |^a landscape with ")
_BACKGROUND = re.compile(rf" on an? (?P<background>{_any(BACKGROUNDS)}) background$")
_SIZE = "an? (?:(?P<size>small|large) )?"
_COLOURED = rf"(?P<colour>{_COLOUR}) (?P<shape>{_any(SHAPES)})"
_SHAPE = re.compile(rf"{_SIZE}(?:(?P<texture>{_any(TEXTURES)}) )?{_COLOURED}")
_THING = re.compile(_SIZE + _COLOURED)
_BARE = re.sub(r"\?P<\w+>", "?:", _THING.pattern)
_RELATION = re.compile(rf"({_BARE}) ({_any(RELATIONS)}) ({_BARE})")
_LONG_RELATION = re.compile(
    rf"two shapes on an? ({_any(BACKGROUNDS)}) background\. "
    rf"the (upper|lower|left|right) one is ({_BARE}) and the (upper|lower|left|right) one is ({_BARE})"
)
_SIDES = {
    ("upper", "lower"): "above",
    ("lower", "upper"): "below",
    ("left", "right"): "to the left of",
    ("right", "left"): "to the right of",
}
_SINGULAR = {plural(shape): shape for shape in SHAPES}
_COUNT = re.compile(rf"({_any(NUMBERS[n] for n in COUNTS)}) ({_COLOUR}) ({_any(_SINGULAR)})")
_ANIMAL = re.compile(rf"an? (?:cartoon )?({_any(ANIMALS)}) (?:wearing|with) (.+)")
_GARMENT = re.compile(rf"(?:an? )?({_COLOUR}) ({_any(GARMENTS)})")
_CLOCK = re.compile(rf"an? ({_COLOUR}) ({_any(FRAMES)}) clock(?: showing ({_any(NUMBERS[1:])}) o'clock)?")
_SOLID = rf"an? ({_any(SOLID_COLOURS)}) ({_any(SOLIDS)})"
_ONE_SOLID = re.compile(rf"{_SOLID}(?: on a table)?")
_BESIDE = re.compile(rf"{_SOLID} (to the left of|to the right of) {_SOLID}")
_ON = re.compile(rf"{_SOLID} (?:on top of|sitting on) {_SOLID}")
_STACK = re.compile(rf"{_SOLID} on {_SOLID} on {_SOLID}")
_LONG_STACK = re.compile(
    rf"a stack of three cubes\. {_SOLID} is on the top, {_SOLID} is in the middle, and {_SOLID} is on the bottom"
)

_PLACES = {name: place for place, name in PLACES.items()}
_LANDSCAPE = re.compile(rf"({_any(_PLACES)}) ({_any(TIMES)})")


def parse(text):
    """(kind, spec) of a caption, or None where it is not of a kind that can be checked."""
    text = _PREFIX.sub("", " ".join(text.lower().split()).rstrip("."))
    background = None
    if match := _BACKGROUND.search(text):
        background, text = match["background"], text[: match.start()]
    for kind, reader in _READERS:
        spec = reader(text)
        if spec is not None:
            if background:
                spec["background"] = background
            spec.setdefault("background", None)
            return kind, spec
    return None


def _thing(text):
    return _THING.fullmatch(text).groupdict()


def _read_shape(text):
    match = _SHAPE.fullmatch(text)
    return match and match.groupdict()


def _read_relation(text):
    if match := _RELATION.fullmatch(text):
        return {"first": _thing(match[1]), "relation": match[2], "second": _thing(match[3])}
    match = _LONG_RELATION.fullmatch(text)
    if not match or (match[2], match[4]) not in _SIDES:
        return None
    word = _SIDES[match[2], match[4]]
    return {"first": _thing(match[3]), "relation": word, "second": _thing(match[5]), "background": match[1]}


def _read_count(text):
    match = _COUNT.fullmatch(text)
    return match and {"number": NUMBERS.index(match[1]), "colour": match[2], "shape": _SINGULAR[match[3]]}


def _read_animal(text):
    match = _ANIMAL.fullmatch(text)
    if not match:
        return None
    garments = {}
    for item in re.split(r", and |, | and ", match[2]):
        worn = _GARMENT.fullmatch(item)
        if not worn or worn[2] in garments:
            return None
        garments[worn[2]] = worn[1]
    return {"animal": match[1], "garments": {name: garments[name] for name in GARMENTS if name in garments}}


def _read_clock(text):
    match = _CLOCK.fullmatch(text)
    return match and {"colour": match[1], "frame": match[2], "hour": NUMBERS.index(match[3]) if match[3] else None}


def _read_blocks(text):
    if match := _BESIDE.fullmatch(text):
        return _blocks("beside", match.group(1, 2, 4, 5), match[3])
    for layout, pattern in (("one", _ONE_SOLID), ("on", _ON), ("stack", _STACK), ("stack", _LONG_STACK)):
        if match := pattern.fullmatch(text):
            return _blocks(layout, match.groups())
    return None


def _blocks(layout, words, word=None):
    things = [{"colour": colour, "solid": solid} for colour, solid in zip(words[::2], words[1::2])]
    return {"layout": layout, "things": things, "word": word}


def _read_landscape(text):
    match = _LANDSCAPE.fullmatch(text)
    return match and {"place": _PLACES[match[1]], "time": match[2]}


_READERS = (
    ("shape", _read_shape),
    ("relation", _read_relation),
    ("count", _read_count),
    ("animal", _read_animal),
    ("clock", _read_clock),
    ("blocks", _read_blocks),
    ("landscape", _read_landscape),
)
