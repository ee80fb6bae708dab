"""A clock: the colour and shape of its frame, and the full hour that it shows."""

import math

from . import heldout
from .canvas import Canvas
from .figures import outline
from .palette import BACKGROUNDS, COLOURS, pick_background
from .words import NUMBERS, with_article

FRAMES = {
    "round": "circle",
    "square": "square",
    "triangular": "triangle",
    "pentagonal": "pentagon",
    "hexagonal": "hexagon",
    "star-shaped": "star",
    "heart-shaped": "heart",
}
# Of the face within the frame: radius, and how far below the middle.
FACES = {"triangle": (48, 21), "star": (45, 0), "heart": (58, -12), "pentagon": (68, 2)}
FRAME_RADIUS = 106
DIAL = (252, 252, 250)
INK = (35, 35, 40)


def sample(rng):
    colour = rng.choice([name for name in COLOURS if name != "white"])
    background = pick_background(rng, [COLOURS[colour]])
    return {"colour": colour, "frame": rng.choice(list(FRAMES)), "hour": rng.integer(1, 12), "background": background}


def held_out(spec):
    pair = heldout.coloured_shape(spec["colour"], FRAMES[spec["frame"]])
    return pair or heldout.clock_time(spec["colour"], spec["frame"], spec["hour"])


def caption(spec, rng=None):
    clock = with_article(f"{spec['colour']} {spec['frame']} clock")
    timed = f"{clock} showing {NUMBERS[spec['hour']]} o'clock"
    return rng.weighted({timed: 6, clock: 3, f"a picture of {clock}": 1}) if rng else timed


def draw(spec, rng, size):
    return draw_at(spec, 128 + rng.uniform(-6, 6), 128 + rng.uniform(-6, 6), size)


def draw_at(spec, x, y, size):
    canvas = Canvas(size, BACKGROUNDS[spec["background"]])
    shape = FRAMES[spec["frame"]]
    radius, drop = FACES.get(shape, (74, 0))
    canvas.polygon(outline(shape, x, y, FRAME_RADIUS), COLOURS[spec["colour"]])
    draw_face(canvas, x, y + drop, radius, spec["hour"])
    return canvas.finish()


def draw_face(canvas, x, y, radius, hour):
    def at(twelfths, share):
        angle = twelfths * math.pi / 6
        return x + share * radius * math.sin(angle), y - share * radius * math.cos(angle)

    canvas.disc(x, y, radius, DIAL)
    for k in range(12):
        canvas.line([at(k, 0.84), at(k, 0.92)], 4.0 if k % 3 == 0 else 2.2, INK)
    canvas.line([(x, y), at(hour, 0.46)], 0.085 * radius, INK)
    canvas.line([(x, y), at(0, 0.74)], 0.055 * radius, INK)
    canvas.disc(x, y, 0.08 * radius, INK)
