"""Two flat shapes: one above, below, beside or inside the other, or merely both there."""

from . import heldout
from .canvas import Canvas
from .figures import CONTAINERS, SHAPES, outline
from .palette import BACKGROUNDS, COLOURS, MIN_CONTRAST, distance, pick_background
from .words import on_background, with_article

DIRECTIONS = {"above": (0, -1), "below": (0, 1), "to the left of": (-1, 0), "to the right of": (1, 0)}
RELATIONS = {**{word: 4 for word in DIRECTIONS}, "inside": 3, "and": 2}
RADII = {"small": (22, 28), None: (38, 50), "large": (53, 58)}
DISTANCE = (60, 64)  # of each centre from the middle of the picture
SIDEWAYS = 10
MARGIN = 122  # no shape reaches further from the middle
OUTER_RADIUS = (98, 108)
INNER_RADIUS = (32, 38)


def sample(rng):
    while True:
        word = rng.weighted(RELATIONS)
        things = [{"colour": rng.choice(list(COLOURS)), "shape": rng.choice(SHAPES), "size": None} for _ in range(2)]
        if word in DIRECTIONS and rng.chance(0.2):
            for thing, name in zip(things, rng.sample(("small", "large"), 2)):
                thing["size"] = name
        if possible(word, *things):
            colours = [COLOURS[thing["colour"]] for thing in (things[1:] if word == "inside" else things)]
            background = pick_background(rng, colours)
            return {"first": things[0], "relation": word, "second": things[1], "background": background}


def possible(word, first, second):
    """Whether the picture would be clear: two different things, and the inner one stands out from the outer one."""
    if word != "inside":
        return (first["colour"], first["shape"]) != (second["colour"], second["shape"])
    contrast = distance(COLOURS[first["colour"]], COLOURS[second["colour"]])
    return second["shape"] in CONTAINERS and contrast > MIN_CONTRAST


def held_out(spec):
    first, second = spec["first"], spec["second"]
    held = [heldout.coloured_shape(thing["colour"], thing["shape"]) for thing in (first, second)]
    if all(held):
        return "both pairs"
    if any(held):
        return "pair"
    names = [f"{thing['colour']} {thing['shape']}" for thing in (first, second)]
    return heldout.relation(names[0], spec["relation"], names[1])


def name_of(thing):
    return " ".join(word for word in (thing["size"], thing["colour"], thing["shape"]) if word)


def caption(spec, rng=None):
    first, second = (with_article(name_of(spec[key])) for key in ("first", "second"))
    plain = f"{first} {spec['relation']} {second}"
    if rng is None:
        return plain
    where = on_background(spec["background"])
    options = {plain: 10, plain + where: 6, f"a picture of {plain}": 2}
    if spec["relation"] in DIRECTIONS:
        options[long_caption(spec)] = 2
    return rng.weighted(options)


def long_caption(spec):
    """More words for the same picture, so that late positions of the text see text."""
    ends = {
        "above": ("the upper", "the lower"),
        "below": ("the lower", "the upper"),
        "to the left of": ("the left", "the right"),
        "to the right of": ("the right", "the left"),
    }[spec["relation"]]
    first, second = (with_article(name_of(spec[key])) for key in ("first", "second"))
    background = with_article(spec["background"])
    return f"two shapes on {background} background. {ends[0]} one is {first} and {ends[1]} one is {second}"


def layout(spec, rng):
    """Each thing, its middle and its radius, in the order in which they are drawn."""
    return place_inside(spec, rng) if spec["relation"] == "inside" else place_apart(spec, rng)


def draw(spec, rng, size):
    canvas = Canvas(size, BACKGROUNDS[spec["background"]])
    for thing, x, y, radius in layout(spec, rng):
        canvas.polygon(outline(thing["shape"], x, y, radius), COLOURS[thing["colour"]])
    return canvas.finish()


def place_inside(spec, rng):
    x, y, radius = 128 + rng.uniform(-6, 6), 128 + rng.uniform(-6, 6), rng.uniform(*OUTER_RADIUS)
    inner_y = y + CONTAINERS[spec["second"]["shape"]] * radius
    return [(spec["second"], x, y, radius), (spec["first"], x, inner_y, rng.uniform(*INNER_RADIUS))]


def place_apart(spec, rng):
    dx, dy = DIRECTIONS.get(spec["relation"]) or rng.choice(list(DIRECTIONS.values()))
    places = []
    for thing, side in ((spec["first"], 1), (spec["second"], -1)):
        away, aside = side * rng.uniform(*DISTANCE), rng.uniform(-SIDEWAYS, SIDEWAYS)
        x, y = 128 + dx * away + abs(dy) * aside, 128 + dy * away + abs(dx) * aside
        radius = min(rng.uniform(*RADII[thing["size"]]), (MARGIN - abs(away)) / 1.05)
        places.append((thing, x, y, radius))
    return places
