"""An emoji where it belongs: on land, in the sky, on the sea, under water, in a room."""

from . import emoji, heldout, landscape
from .backdrops import paint_room, paint_under_water
from .canvas import Canvas

LAND = ("meadow", "beach", "desert", "snow", "forest", "mountains", "city")
# Where the emoji of a trait are put, and how often.
HABITATS = {"l": {"land": 8}, "s": {"sky": 8}, "b": {"boat": 8}, "w": {"water": 8}, "i": {"room": 2}}
GROUND_PHRASES = {
    "meadow": "in a meadow",
    "beach": "on a beach",
    "desert": "in a desert",
    "snow": "in the snow",
    "forest": "in a forest",
    "mountains": "in the mountains",
    "city": "in a city",
}
SIDE = (96, 146)


def sample(rng):
    chosen, style = emoji.choose(rng, emoji.emojis("lsbwi"))
    habitats = {}
    for trait, where in HABITATS.items():
        if trait in chosen.traits:
            habitats.update(where)
    habitat = rng.weighted(habitats)
    place = {"land": rng.choice(LAND), "sky": rng.choice(LAND + ("sea",)), "boat": "sea"}.get(habitat)
    time = rng.choice(landscape.TIMES) if place else None
    return {"emoji": chosen.code, "style": style, "habitat": habitat, "place": place, "time": time}


def held_out(spec):
    name = emoji.table()[spec["emoji"]].name
    if spec["place"]:
        reason = heldout.landscape(spec["place"], spec["time"])
        reason = reason or heldout.thing_in_scene(name, spec["place"], spec["time"])
        if reason:
            return reason
    return emoji.held_out_style(spec)


def where(spec):
    habitat, time = spec["habitat"], spec["time"]
    if habitat == "water":
        return "under water"
    if habitat == "room":
        return "in a room"
    if habitat == "boat":
        return f"on the sea {time}"
    if habitat == "sky":
        return f"over {landscape.NAMES[spec['place']]} {time}"
    return f"{GROUND_PHRASES[spec['place']]} {time}"


def caption(spec, rng=None):
    thing = emoji.table()[spec["emoji"]].phrase()
    if rng is None:
        return f"{thing} {where(spec)}"
    plain = f"{emoji.styled(thing, spec['style'], rng)} {where(spec)}"
    if not plain.startswith(thing):
        return plain
    return rng.weighted({plain: 6, f"a picture of {plain}": 1, f"an illustration of {plain}": 1})


def draw(spec, rng, size):
    canvas = Canvas(size, 0)
    side, x = rng.uniform(*SIDE), rng.uniform(84, 172)
    image = emoji.sprite(spec["style"], spec["emoji"])
    height = side * image.height / max(image.size)
    if spec["habitat"] == "water":
        paint_under_water(canvas, rng)
        y = rng.uniform(96, 150)
    elif spec["habitat"] == "room":
        paint_room(canvas, rng)
        y = rng.uniform(222, 236) - height / 2
    else:
        horizon = landscape.paint(canvas, rng, spec["place"], spec["time"])
        foot = {"land": horizon + rng.uniform(52, 72), "boat": horizon + rng.uniform(26, 44), "sky": None}
        y = rng.uniform(64, 96) if spec["habitat"] == "sky" else min(250, foot[spec["habitat"]]) - height / 2
    if spec["habitat"] in ("land", "room"):
        canvas.soft_shadow(x, y + height / 2 - 2, 0.36 * side, 5, 0.22)
    picture = canvas.finish()
    emoji.place(picture, image, x, y, side, rng.chance(0.3))
    return picture
