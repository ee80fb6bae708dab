"""Dressed characters: which animal, and the colour of each garment. Drawing is in animal_art.py."""

from . import heldout
from .animal_art import ANIMALS, draw_character
from .palette import COLOURS, PALE, distance
from .words import listed, with_article

GARMENTS = ("hat", "glasses", "scarf", "shirt", "gloves", "pants", "boots")
PLURALS = ("glasses", "gloves", "pants", "boots")
NUMBERS = {1: 4, 2: 4, 3: 2, 4: 1}
MIN_BODY_CONTRAST = 30  # Lab distance of a garment from the body that it covers


def sample(rng):
    animal = rng.choice(list(ANIMALS))
    worn = rng.sample(GARMENTS, rng.weighted(NUMBERS))
    garments = {name: rng.choice(garment_colours(animal)) for name in GARMENTS if name in worn}
    look = ANIMALS[animal]
    backgrounds = [name for name in PALE if distance(PALE[name], look["body"]) > 12]
    return {"animal": animal, "garments": garments, "background": rng.choice(backgrounds)}


def garment_colours(animal):
    look = ANIMALS[animal]
    covered = (look["body"], look["limbs"], look["belly"])
    return [name for name, rgb in COLOURS.items() if all(distance(rgb, c) > MIN_BODY_CONTRAST for c in covered)]


def held_out(spec):
    held = [heldout.garment(spec["animal"], name, colour) for name, colour in spec["garments"].items()]
    return "garment" if any(held) else None


def caption(spec, rng=None):
    animal = spec["animal"]
    worn = listed([phrase(name, colour) for name, colour in spec["garments"].items()])
    plain = f"{with_article(animal)} wearing {worn}"
    if rng is None:
        return plain
    options = {
        plain: 6,
        f"{with_article(animal)} with {worn}": 2,
        f"a cartoon {animal} wearing {worn}": 1,
        f"{plain} on {with_article(spec['background'])} background": 2,
    }
    return rng.weighted(options)


def phrase(garment, colour):
    words = f"{colour} {garment}"
    return words if garment in PLURALS else with_article(words)


def draw(spec, rng, size):
    shift = rng.uniform(-7, 7), rng.uniform(-4, 4)
    garments = {name: COLOURS[colour] for name, colour in spec["garments"].items()}
    return draw_character(spec["animal"], garments, PALE[spec["background"]], shift, size)
