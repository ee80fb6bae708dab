"""The sentences of descriptions: each is a clause, (what it says, its words), written in one of several ways and read back.

What a sentence leaves open is a slot such as {thing}; what may stand there is listed here for writing and reading alike.
"""

import re

from .figures import SHAPES
from .palette import BACKGROUNDS, COLOURS
from .parse import parse
from .relation import DIRECTIONS
from .words import NUMBERS, listed, with_article

COLUMNS = ("left", "middle", "right")
PLACES = (
    ("at the upper left", "at the top", "at the upper right"),
    ("on the left", "in the middle", "on the right"),
    ("at the lower left", "at the bottom", "at the lower right"),
)
SIDES = PLACES[1]
# How far a lone thing is from the middle: (rightwards, downwards), each -1, 0 or 1.
SHIFTS = {
    (0, 0): "right in the middle",
    (-1, 0): "a little left of the middle",
    (1, 0): "a little right of the middle",
    (0, -1): "a little above the middle",
    (0, 1): "a little below the middle",
    (-1, -1): "a little above and left of the middle",
    (1, -1): "a little above and right of the middle",
    (-1, 1): "a little below and left of the middle",
    (1, 1): "a little below and right of the middle",
}
SIZES = ("small", "medium sized", "large")
COMPARED = ("smaller than", "about as large as", "larger than")
TEXTURES = {None: "plain {}", "striped": "white stripes on {}", "dotted": "white dots on {}"}
AROUND = {"inside": "around", "around": "inside"}
SKIES = {
    "at noon": "bright blue",
    "at sunrise": "orange and pale yellow",
    "at sunset": "purple and orange",
    "at night": "dark blue with stars",
    "on a cloudy day": "gray",
}
CORNERS = {
    "circle": "no corners",
    "square": "four corners",
    "triangle": "three corners",
    "star": "five points",
    "heart": "one point",
    "pentagon": "five corners",
    "hexagon": "six corners",
    "diamond": "four corners",
    "cross": "four arms",
    "crescent": "two tips",
}
HOURS = {
    "at noon": "full day",
    "at sunrise": "early morning",
    "at sunset": "late evening",
    "at night": "night",
    "on a cloudy day": "a dull day",
}
HEIGHTS = ("high in the sky", "low above the ground")
VIEWS = {
    "meadow": "low green hills and small flowers",
    "beach": "the sea behind a shore",
    "desert": "dunes without trees",
    "snow": "white hills and a few trees",
    "forest": "many tall trees",
    "mountains": "four peaks with white tops",
    "city": "tall houses with windows",
    "sea": "waves and no land",
}
GROUNDS = {
    "meadow": "green grass",
    "beach": "pale sand",
    "desert": "orange sand",
    "snow": "white snow",
    "forest": "green grass",
    "mountains": "green grass",
    "city": "a gray street",
    "sea": "blue water",
}


def number_of(count):
    return f"{NUMBERS[count]} shape{'s' if count > 1 else ''}"


def rows_of(rows):
    """`two rows of one and two`, from the top."""
    return f"{NUMBERS[len(rows)]} row{'s' if len(rows) > 1 else ''} of {listed([NUMBERS[n] for n in rows])}"


def spread_of(counts):
    """`two on the left and one on the right`."""
    return listed([f"{NUMBERS[count]} {side}" for count, side in zip(counts, SIDES) if count])


def banks_of(columns):
    """`on the left and in the middle`; `columns` says of each whether it has clouds."""
    return listed([side for side, has in zip(SIDES, columns) if has])


_ROWS = [rows for a in (1, 2, 3) for rows in [(a,), *((a, b) for b in (1, 2, 3)),
                                               *((a, b, c) for b in (1, 2, 3) for c in (1, 2, 3))]]  # fmt: skip
ROWS = {rows_of(rows): rows for rows in _ROWS}
_SPREADS = [(a, b, c) for a in range(5) for b in range(5) for c in range(5) if 2 <= a + b + c <= 6]
SPREADS = {spread_of(counts): counts for counts in _SPREADS}
BANKS = {banks_of(c): c for c in ((a, b, d) for a in (0, 1) for b in (0, 1) for d in (0, 1)) if any(c)}
COUNTED = {number_of(count): count for count in range(1, 7)}
FILLINGS = {text.format(colour): (colour, name) for name, text in TEXTURES.items() for colour in COLOURS}
NAMED = {f"{colour} {shape}": (colour, shape) for colour in COLOURS for shape in SHAPES}

SLOTS = {
    "background": BACKGROUNDS,
    "thing": ("shape", *NAMED),
    "first": NAMED,
    "second": NAMED,
    "size": SIZES,
    "compared": COMPARED,
    "where": SHIFTS.values(),
    "place": [place for row in PLACES for place in row],
    "filling": FILLINGS,
    "corners": dict.fromkeys(CORNERS.values()),
    "direction": (*DIRECTIONS, *AROUND),
    "number": COUNTED,
    "rows": ROWS,
    "spread": SPREADS,
    "colour": COLOURS,
    "kind": [with_article(shape) for shape in SHAPES],
    "sky": SKIES.values(),
    "hour": HOURS.values(),
    "light": ("sun", "moon"),
    "height": HEIGHTS,
    "side": SIDES,
    "banks": BANKS,
    "beside": ("to the left of", "to the right of"),
    "ground": dict.fromkeys(GROUNDS.values()),
    "view": VIEWS.values(),
}
# The ways to say each clause.
SENTENCES = {
    "caption": ("{caption}", "this is {caption}", "the picture shows {caption}", "here is {caption}"),
    "background": ("the background is {background}", "the colour behind is {background}",
                   "everything around is {background}", "the picture has a background of {background}"),
    "size": ("the {thing} is {size}", "the {thing} is drawn {size}", "in size the {thing} is {size}",
             "one would call the {thing} {size}"),
    "compare": ("the {first} is {compared} the {second}", "in size the {first} is {compared} the {second}",
                "the {first} looks {compared} the {second}", "one sees that the {first} is {compared} the {second}"),
    "where": ("it is {where}", "its place is {where}", "it lies {where}", "it stands {where}"),
    "place": ("the {thing} is {place} of the picture", "{place} is the {thing}", "the {thing} lies {place}",
              "{place} one sees the {thing}"),
    "filling": ("it is filled with {filling}", "its inside is {filling}", "inside it one sees {filling}",
                "it has a filling of {filling}"),
    "corners": ("it has {corners}", "its outline has {corners}", "one counts {corners}", "its form shows {corners}"),
    "direction": ("the {first} is {direction} the {second}", "the {first} lies {direction} the {second}",
                  "one sees the {first} {direction} the {second}", "{direction} the {second} is the {first}"),
    "number": ("{number} and nothing else", "there is nothing but {number}", "{number} can be seen in all",
               "in all one counts {number}"),
    "rows": ("they stand in {rows}", "they form {rows}", "from the top one counts {rows}", "there are {rows}"),
    "spread": ("of them {spread}", "one finds {spread}", "{spread} can be seen", "there are {spread}"),
    "each colour": ("each of them is {colour}", "all of them are {colour}", "their colour is {colour}",
                    "every one of them is {colour}"),
    "each shape": ("each of them is {kind}", "every one is {kind}", "the shape of each is {kind}",
                   "each one has the form of {kind}"),
    "equal": ("all have the same size", "they are of one size", "none is larger than another", "their sizes are equal"),
    "sky": ("the sky is {sky}", "above it the sky is {sky}", "one sees a sky of {sky}", "the sky shows {sky}"),
    "hour": ("it is {hour}", "the time is {hour}", "the light says {hour}", "now it is {hour}"),
    "light": ("the {light} is {height} {side}", "the {light} stands {side} {height}", "{side} the {light} is {height}",
              "one sees the {light} {height} {side}"),
    "no light": ("no sun and no moon can be seen", "there is no sun and no moon", "one sees no sun or moon",
                 "the sky has no sun and no moon"),
    "clouds": ("there are clouds {banks}", "{banks} are clouds", "one sees clouds {banks}", "clouds lie {banks}"),
    "no clouds": ("there are no clouds", "no clouds can be seen", "one sees no clouds", "the sky has no clouds"),
    "beside": ("the {light} is {beside} all clouds", "{beside} all clouds is the {light}",
               "the {light} stands {beside} the clouds", "one sees the {light} {beside} the clouds"),
    "ground": ("the ground in front is {ground}", "in front one sees {ground}", "the lower part is {ground}",
               "{ground} lies in front"),
    "view": ("one sees {view}", "the scene has {view}", "it shows {view}", "the place has {view}"),
}  # fmt: skip


def _pattern(sentence):
    parts = re.split(r"\{(\w+)\}", sentence)
    for index in range(1, len(parts), 2):
        words = sorted(SLOTS[parts[index]], key=len, reverse=True)
        parts[index] = f"(?P<{parts[index]}>{'|'.join(words)})"
    return re.compile("".join(parts))


_PATTERNS = {says: [_pattern(sentence) for sentence in ways] for says, ways in SENTENCES.items() if says != "caption"}
_CAPTION = re.compile("(?:" + "|".join(way.replace("{caption}", "") for way in SENTENCES["caption"][1:]) + ")")


def write(clause, rng):
    says, words = clause
    return rng.choice(SENTENCES[says]).format(**words)


def read(sentence):
    """The clause that a sentence says, or None. The words of a "caption" are its kind and spec."""
    for says, patterns in _PATTERNS.items():
        for pattern in patterns:
            if match := pattern.fullmatch(sentence):
                return says, match.groupdict()
    parsed = parse(_CAPTION.sub("", sentence, count=1) if _CAPTION.match(sentence) else sentence)
    return parsed and ("caption", {"kind": parsed[0], "spec": parsed[1]})


def read_all(text):
    """The clauses of a text, None for each sentence that says none; an empty list where no sentence does."""
    whole = " ".join(text.lower().split())
    clauses = [read(sentence) for sentence in whole.rstrip(".").split(". ")]
    return clauses if any(clauses) else []
