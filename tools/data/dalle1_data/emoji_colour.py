"""One emoji in a colour that it may not have by nature."""

from . import emoji, heldout
from .figures import SHAPES
from .words import on_background

SIDE = (165, 220)


def sample(rng):
    while True:
        chosen, style = emoji.choose(rng, emoji.emojis("r"))
        colour = rng.choice(emoji.RECOLOURS)
        if emoji.recoloured(style, chosen.code, colour):
            background = emoji.pick_background(rng, (style, chosen.code, colour))
            return {"emoji": chosen.code, "style": style, "colour": colour, "background": background}


def held_out(spec):
    name = emoji.table()[spec["emoji"]].name
    pair = heldout.coloured_shape(spec["colour"], name) if name in SHAPES else None
    return pair or heldout.coloured_thing(spec["colour"], name) or emoji.held_out_style(spec)


def caption(spec, rng=None):
    thing = emoji.table()[spec["emoji"]].phrase(spec["colour"])
    if rng is None:
        return thing
    thing = emoji.styled(thing, spec["style"], rng)
    return rng.weighted({thing: 6, thing + on_background(spec["background"]): 3})


def draw(spec, rng, size):
    picture = emoji.backdrop(spec["background"], size)
    image = emoji.recoloured(spec["style"], spec["emoji"], spec["colour"])
    x, y = 128 + rng.uniform(-8, 8), 128 + rng.uniform(-8, 8)
    emoji.place(picture, image, x, y, rng.uniform(*SIDE), rng.chance(0.3))
    return picture
