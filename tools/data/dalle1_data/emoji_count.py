"""Two to six equal emoji in neat rows."""

from . import count, emoji, heldout
from .words import NUMBERS, on_background


def sample(rng):
    chosen, style = emoji.choose(rng, emoji.emojis(countable=True))
    background = emoji.pick_background(rng, (style, chosen.code))
    return {"number": rng.weighted(count.WEIGHTS), "emoji": chosen.code, "style": style, "background": background}


def held_out(spec):
    name = emoji.table()[spec["emoji"]].name
    return heldout.counted(spec["number"], name) or emoji.held_out_style(spec)


def caption(spec, rng=None):
    things = f"{NUMBERS[spec['number']]} {emoji.table()[spec['emoji']].plural()}"
    if rng is None:
        return things
    where = on_background(spec["background"])
    return rng.weighted({things: 5, things + where: 2, f"a picture of {things}": 1, f"a group of {things}": 1})


def draw(spec, rng, size):
    picture = emoji.backdrop(spec["background"], size)
    image = emoji.sprite(spec["style"], spec["emoji"])
    centres, half = count.places(spec["number"], rng)
    side, mirrored = 2 * half * rng.uniform(0.86, 0.94), rng.chance(0.3)
    for x, y in centres:
        emoji.place(picture, image, x + rng.uniform(-2, 2), y + rng.uniform(-2, 2), side, mirrored)
    return picture
