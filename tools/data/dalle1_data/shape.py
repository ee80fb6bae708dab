"""One flat shape: a colour, sometimes a texture, a size, a background."""

from . import heldout
from .canvas import Canvas
from .figures import SHAPES, outline
from .palette import BACKGROUNDS, COLOURS, WHITE, lighter, pick_background
from .words import on_background, with_article

RADII = {"small": (26, 33), None: (54, 68), "large": (94, 106)}
TEXTURES = ("striped", "dotted")


def sample(rng):
    colour = rng.choice(list(COLOURS))
    texture = rng.choice(TEXTURES) if colour != "white" and rng.chance(0.15) else None
    size = rng.weighted({None: 2, "small": 1, "large": 1})
    if texture and size == "small":
        size = None
    return {
        "colour": colour,
        "shape": rng.choice(SHAPES),
        "texture": texture,
        "size": size,
        "background": pick_background(rng, [COLOURS[colour]] + ([WHITE] if texture else [])),
    }


def held_out(spec):
    return heldout.coloured_shape(spec["colour"], spec["shape"])


def name_of(spec):
    words = (spec["size"], spec["texture"], spec["colour"], spec["shape"])
    return " ".join(word for word in words if word)


def caption(spec, rng=None):
    thing = with_article(name_of(spec))
    if rng is None:
        return thing
    where = on_background(spec["background"])
    return rng.weighted({thing: 4, thing + where: 4, f"a picture of {thing}": 1, f"a drawing of {thing}": 1})


def layout(spec, rng):
    """What is drawn, its middle and its radius."""
    radius = rng.uniform(*RADII[spec["size"]])
    play = max(4, min(24, 112 - radius))
    return [(spec, 128 + rng.uniform(-play, play), 128 + rng.uniform(-play, play), radius)]


def draw(spec, rng, size):
    canvas = Canvas(size, BACKGROUNDS[spec["background"]])
    [(_, x, y, radius)] = layout(spec, rng)
    points = outline(spec["shape"], x, y, radius)
    if spec["texture"]:
        canvas.textured_polygon(points, lambda other: paint_texture(other, spec, x, y, radius))
    else:
        canvas.polygon(points, COLOURS[spec["colour"]])
    return canvas.finish()


def paint_texture(canvas, spec, x, y, radius):
    """Upright white stripes, or white dots in staggered rows, over the colour."""
    colour = COLOURS[spec["colour"]]
    pale = lighter(colour, 0.85)
    canvas.rect(0, 0, 256, 256, colour)
    step = radius / 3
    for i in range(-4, 5):
        if spec["texture"] == "striped":
            canvas.rect(x + (i - 0.25) * step, 0, x + (i + 0.25) * step, 256, pale)
            continue
        for j in range(-4, 5):
            canvas.disc(x + (i + 0.5 * (j % 2)) * step, y + j * step, 0.24 * step, pale)
