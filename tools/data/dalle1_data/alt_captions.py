"""Captions as the web has them: "alt" texts that are short, wrong or no caption at all (Betker et al. 2023, section 2).

Each is made from the exact caption by one of five flaws, chosen by lot; some are right.
"""

import re

from .emoji_scene import GROUND_PHRASES
from .landscape import NAMES as PLACES, TIMES
from .palette import BACKGROUNDS, COLOURS
from .portrait import HAIR
from .words import with_article

# In percent. `noun` names the thing and no more, `less` has lost colour, place or background, `other` is the caption of
# another picture, `junk` says nothing, `right` is the exact caption.
FLAWS = {"noun": 30, "less": 30, "other": 15, "junk": 10, "right": 15}
NOUNS = {
    "shape": ("a shape", "a figure"),
    "relation": ("shapes", "two shapes"),
    "count": ("shapes", "a group of shapes"),
    "animal": ("an animal", "a cartoon"),
    "landscape": ("a landscape", "a view"),
    "blocks": ("a toy", "toys"),
    "clock": ("a clock",),
    "portrait": ("a person", "a portrait"),
}
ANY_NOUN = ("a picture", "a drawing", "an image")
JUNK = ("{camera}_{number}.jpg", "image ({few}).png", "untitled-{few}", "wallpaper hd free", "free download",
        "click to enlarge", "best {subject} {year}", "{subject} stock photo", "thumbnail", "share this")  # fmt: skip
CAMERAS = ("IMG", "DSC", "P", "PXL")
SUBJECTS = ("clip art", "art", "wallpaper", "icon", "poster")

_ON_BACKGROUND = re.compile(rf" on an? (?:{'|'.join(BACKGROUNDS)}) background")
_COLOUR = re.compile(rf"\b(?:(an?) )?(?:{'|'.join({**COLOURS, **HAIR})}) (\w+)")
_RELATION = re.compile(r" (?:to the (?:left|right) of|above|below|inside|next to|on top of|sitting on) (?=an? )")
_LONG_RELATION = re.compile(r"^two shapes\. the \w+ one is (.*) and the \w+ one is (.*)$")
_TIME = re.compile(rf" (?:{'|'.join(TIMES)})$")
_SCENE = re.compile(rf" (?:(?:{'|'.join(GROUND_PHRASES.values())}|(?:on|over) the sea|over (?:{'|'.join(PLACES.values())}))"
                    rf" (?:{'|'.join(TIMES)})|under water|in a room)$")  # fmt: skip
_PLACE = re.compile(rf"^(?:.* (?:of|with) )?(?:{'|'.join(PLACES.values())})(?= (?:{'|'.join(TIMES)})$)")
_HOUR = re.compile(r" showing \w+ o'clock$")


def alt_caption(kind, exact, rng, other):
    """(caption, flaw); `other(rng)` is the caption of another picture."""
    flaw = rng.weighted(FLAWS)
    if flaw == "less":
        poorer = losses(exact)
        if poorer:
            return rng.choice(poorer), flaw
        flaw = "noun"  # nothing that could be lost: "a giraffe"
    if flaw == "noun":
        return rng.choice(NOUNS.get(kind, ()) + ANY_NOUN), flaw
    if flaw == "other":
        return other_caption(exact, rng, other), flaw
    return (junk(rng), flaw) if flaw == "junk" else (exact, flaw)


def other_caption(exact, rng, other):
    while True:
        text = other(rng)
        if text != exact:
            return text


def junk(rng):
    return rng.choice(JUNK).format(
        camera=rng.choice(CAMERAS),
        number=rng.integer(1000, 9999),
        few=rng.integer(1, 40),
        subject=rng.choice(SUBJECTS),
        year=rng.integer(2009, 2021),
    )


def losses(exact):
    """The caption with one thing left out, each that it has: its background, its colours, where or when it is."""
    found = [without_background(exact), without_colours(exact), without_relation(exact)]
    others = ((_TIME, ""), (_SCENE, ""), (_PLACE, "a landscape"), (_HOUR, ""))
    found += [pattern.sub(instead, exact) for pattern, instead in others]
    return sorted(set(found) - {exact})


def without_background(text):
    return _ON_BACKGROUND.sub("", text)


def without_colours(text):
    """Colours of things only: the background keeps its own."""
    where = _ON_BACKGROUND.search(text)
    start, end = where.span() if where else (len(text), len(text))
    return _bare(text[:start]) + text[start:end] + _bare(text[end:])


def _bare(text):
    def noun(match):
        article, word = match.groups()
        return with_article(word) if article else word

    return _COLOUR.sub(noun, text)


def without_relation(text):
    long = _LONG_RELATION.match(without_background(text))
    return f"{long[1]} and {long[2]}" if long else _RELATION.sub(" and ", text)
