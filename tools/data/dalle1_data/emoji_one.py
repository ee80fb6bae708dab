"""One emoji on a plain background."""

from . import emoji
from .words import on_background

SIDE = (165, 220)


def sample(rng):
    chosen, style = emoji.choose(rng, emoji.emojis())
    background = emoji.pick_background(rng, (style, chosen.code))
    return {"emoji": chosen.code, "style": style, "background": background}


def held_out(spec):
    return emoji.held_out_style(spec)


def caption(spec, rng=None):
    thing = emoji.table()[spec["emoji"]].phrase()
    if rng is None:
        return thing
    styled = emoji.styled(thing, spec["style"], rng)
    options = {styled: 6, styled + on_background(spec["background"]): 3}
    if styled == thing:
        options[f"a picture of {thing}"] = 1
    return rng.weighted(options)


def draw(spec, rng, size):
    picture = emoji.backdrop(spec["background"], size)
    degrees = rng.uniform(-12, 12) if rng.chance(0.25) else 0.0
    x, y, side = 128 + rng.uniform(-8, 8), 128 + rng.uniform(-8, 8), rng.uniform(*SIDE)
    emoji.place(picture, emoji.sprite(spec["style"], spec["emoji"]), x, y, side, rng.chance(0.3), degrees)
    return picture
