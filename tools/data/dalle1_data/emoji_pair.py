"""Two emoji of one style: one above, below or beside the other, or merely both there."""

from . import emoji, heldout
from .relation import DIRECTIONS
from .words import on_background

RELATIONS = {**{word: 4 for word in DIRECTIONS}, "next to": 2, "and": 4}
SIDE = (96, 112)


def sample(rng):
    while True:
        first, style = emoji.choose(rng, emoji.emojis(countable=True))
        second = rng.choice(emoji.emojis(countable=True))
        if second != first and style in emoji.LIBRARY.styles_of(second.code):
            break
    background = emoji.pick_background(rng, (style, first.code), (style, second.code))
    word = rng.weighted(RELATIONS)
    return {"emoji": first.code, "relation": word, "second": second.code, "style": style, "background": background}


def held_out(spec):
    names = [emoji.table()[spec[key]].name for key in ("emoji", "second")]
    second = {"emoji": spec["second"], "style": spec["style"]}
    whole = heldout.relation(names[0], spec["relation"], names[1])
    return whole or emoji.held_out_style(spec) or emoji.held_out_style(second)


def caption(spec, rng=None):
    first, second = (emoji.table()[spec[key]].phrase() for key in ("emoji", "second"))
    plain = f"{first} {spec['relation']} {second}"
    if rng is None:
        return plain
    return rng.weighted({plain: 6, plain + on_background(spec["background"]): 2, f"a picture of {plain}": 1})


def draw(spec, rng, size):
    picture = emoji.backdrop(spec["background"], size)
    sideways = [DIRECTIONS[word] for word in ("to the left of", "to the right of")]
    dx, dy = DIRECTIONS.get(spec["relation"]) or rng.choice(sideways)
    for key, side in (("emoji", 1), ("second", -1)):
        x, y = 128 + 62 * side * dx + rng.uniform(-3, 3), 128 + 62 * side * dy + rng.uniform(-3, 3)
        emoji.place(picture, emoji.sprite(spec["style"], spec[key]), x, y, rng.uniform(*SIDE), rng.chance(0.3))
    return picture
