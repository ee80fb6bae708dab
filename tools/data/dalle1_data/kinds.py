"""The kinds of pictures. A kind is a module with

    sample(rng) -> spec           what the picture shows, as a dictionary
    held_out(spec) -> reason      why no training picture may show it, or None
    caption(spec, rng) -> text    says what it shows; without rng the plainest way to say so
    draw(spec, rng, size) -> image
    layout(spec, rng)             where `draw` puts things, for the kinds that have descriptions
"""

from . import animal, blocks, clock, count, landscape, portrait, relation, shape
from . import emoji_colour, emoji_count, emoji_one, emoji_pair, emoji_scene
from .rng import Rng

KINDS = {
    "shape": shape,
    "relation": relation,
    "count": count,
    "animal": animal,
    "landscape": landscape,
    "blocks": blocks,
    "clock": clock,
    "portrait": portrait,
    "emoji_one": emoji_one,
    "emoji_colour": emoji_colour,
    "emoji_scene": emoji_scene,
    "emoji_count": emoji_count,
    "emoji_pair": emoji_pair,
}
DRAWN = {
    "shape": 15,
    "relation": 18,
    "count": 12,
    "animal": 20,
    "landscape": 15,
    "blocks": 10,
    "clock": 10,
    "portrait": 8,
}
EMOJI = {"emoji_one": 28, "emoji_colour": 14, "emoji_scene": 22, "emoji_count": 10, "emoji_pair": 14}
WEIGHTS = {**DRAWN, **EMOJI}
GROUPS = {
    "shapes": ("shape", "relation", "count"),
    "described": ("shape", "relation", "count", "landscape"),
    "drawn": tuple(DRAWN),
    "emoji": tuple(EMOJI),
}
MAX_TRIES = 1000


class UnknownKind(ValueError):
    pass


def weights_of(text):
    """The weights that a list such as `shapes,blocks=3` asks for; all kinds without a list."""
    if not text:
        return dict(WEIGHTS)
    weights = {}
    for item in text.split(","):
        name, _, weight = item.partition("=")
        members = GROUPS.get(name, (name,))
        if not all(member in KINDS for member in members) or (weight and not weight.isdigit()):
            raise UnknownKind(f"no such kind: {item} (kinds: {', '.join([*KINDS, *GROUPS])})")
        for member in members:
            weights[member] = int(weight) if weight else WEIGHTS[member]
    return weights


def sample_spec(kind, rng, held_out):
    """A spec that is held out or not, as asked, with the reason; None where the kind has none such."""
    for _ in range(MAX_TRIES):
        spec = KINDS[kind].sample(rng)
        reason = KINDS[kind].held_out(spec)
        if bool(reason) == held_out:
            return spec, reason
    return None


def describe(seed, split, kind, index, held_out=False):
    """The record of picture `index`: everything but its pixels."""
    name = (seed, split, kind, index)
    found = sample_spec(kind, Rng(*name, "spec"), held_out)
    if found is None:  # nothing of this kind is held out
        held_out, found = False, sample_spec(kind, Rng(*name, "spec"), False)
    spec, reason = found
    text = KINDS[kind].caption(spec, Rng(*name, "caption"))
    return {"caption": text, "kind": kind, "held_out": held_out, "why": reason, "spec": spec}


def render(seed, split, kind, index, spec, size):
    return KINDS[kind].draw(spec, Rng(seed, split, kind, index, "draw"), size)
