"""Descriptions that are wrong by one clause, which says something else of what it is about."""

from . import kinds
from .describe import ordered, parts
from .near_miss import near_misses
from .relation import DIRECTIONS
from .rng import Rng
from .sentences import AROUND, FILLINGS, HEIGHTS, ROWS, SIDES, SLOTS, SPREADS, write

# Clauses in which one word may become any other of its slot.
_FREE = {
    "background": ("background",),
    "size": ("size",),
    "compare": ("compared",),
    "where": ("where",),
    "place": ("place",),
    "corners": ("corners",),
    "number": ("number",),
    "each colour": ("colour",),
    "each shape": ("kind",),
    "sky": ("sky",),
    "hour": ("hour",),
    "light": ("light", "height", "side"),
    "clouds": ("banks",),
    "beside": ("beside",),
    "ground": ("ground",),
    "view": ("view",),
}


def wrong_descriptions(kind, spec, name):
    """(what is wrong, text) of each near miss of the picture's description; `name` is that of the picture's draws."""
    three = parts(kind, spec, Rng(*name, "draw"))
    rng = Rng(*name, "near miss")
    for group in range(3):
        for at, clause in enumerate(three[group]):
            for what, other in changed(clause, rng).items():
                changed_group = [*three[group][:at], other, *three[group][at + 1 :]]
                described = [*three[:group], changed_group, *three[group + 1 :]]
                words = Rng(*name, "description")
                yield what, ". ".join(write(each, words) for each in ordered(described, words))


def changed(clause, rng):
    """Clauses that say something else, by what they say it of; none where the clause has no other."""
    says, words = clause
    if says in _FREE:
        slots = _FREE[says]
        names = [f"{says}: {slot}" for slot in slots] if len(slots) > 1 else [says]
        return {name: (says, _other_word(words, slot, rng)) for name, slot in zip(names, slots)}
    return _MAKERS[says](words, rng) if says in _MAKERS else {}


def _other(options, taken, rng):
    return rng.choice([option for option in options if option != taken])


def _other_word(words, slot, rng):
    return {**words, slot: _other(SLOTS[slot], words[slot], rng)}


def _caption(words, rng):
    kind, plain = words["kind"], kinds.KINDS[words["kind"]].caption
    others = near_misses(kind, words["spec"], rng)
    return {f"caption: {what}": ("caption", {**words, "spec": other, "caption": plain(other)}) for what, other in others.items()
            if plain(other) != words["caption"]}  # fmt: skip


def _filling(words, rng):
    """Another colour, another texture; white in white is none."""
    colour, texture = FILLINGS[words["filling"]]
    result = {"filling: colour": [text for text, (c, t) in FILLINGS.items() if t == texture and c not in (colour, "white")]}
    if colour != "white":
        result["filling: texture"] = [text for text, (c, t) in FILLINGS.items() if c == colour and t != texture]
    return {what: ("filling", {"filling": rng.choice(texts)}) for what, texts in result.items()}


def _direction(words, rng):
    swapped = {**words, "first": words["second"], "second": words["first"]}
    turned = {**words, "direction": _other((*DIRECTIONS, *AROUND), words["direction"], rng)}
    return {"direction: swapped": ("direction", swapped), "direction: turned": ("direction", turned)}


def _same_total(says, known):
    """Another way to divide as many things."""

    def make(words, rng):
        total = sum(known[words[says]])
        options = [text for text, counts in known.items() if sum(counts) == total]
        return {says: (says, {says: _other(options, words[says], rng)})}

    return make


def _no_light(_, rng):
    light = {"light": rng.choice(("sun", "moon")), "height": rng.choice(HEIGHTS), "side": rng.choice(SIDES)}
    return {"light: none": ("light", light)}


def _no_clouds(_, rng):
    return {"clouds: none": ("clouds", {"banks": rng.choice(list(SLOTS["banks"]))})}


_MAKERS = {
    "caption": _caption,
    "filling": _filling,
    "direction": _direction,
    "rows": _same_total("rows", ROWS),
    "spread": _same_total("spread", SPREADS),
    "no light": _no_light,
    "no clouds": _no_clouds,
}
