"""Two to six equal shapes in neat rows."""

from . import heldout
from .canvas import Canvas
from .figures import SHAPES, outline
from .palette import BACKGROUNDS, COLOURS, pick_background
from .words import NUMBERS, on_background, plural

# Rows of so many shapes; None stands for the pattern of five on a die.
LAYOUTS = {2: [(2,), (1, 1)], 3: [(3,), (1, 2), (2, 1)], 4: [(2, 2)], 5: [None, (3, 2), (2, 3)], 6: [(3, 3), (2, 2, 2)]}
WEIGHTS = {2: 3, 3: 3, 4: 3, 5: 2, 6: 2}


def sample(rng):
    colour = rng.choice(list(COLOURS))
    return {
        "number": rng.weighted(WEIGHTS),
        "colour": colour,
        "shape": rng.choice(SHAPES),
        "background": pick_background(rng, [COLOURS[colour]]),
    }


def held_out(spec):
    pair = heldout.coloured_shape(spec["colour"], spec["shape"])
    return pair or heldout.counted(spec["number"], f"{spec['colour']} {spec['shape']}")


def caption(spec, rng=None):
    things = f"{NUMBERS[spec['number']]} {spec['colour']} {plural(spec['shape'])}"
    if rng is None:
        return things
    where = on_background(spec["background"])
    return rng.weighted({things: 5, things + where: 3, f"a picture of {things}": 1, f"a group of {things}": 1})


def places(number, rng):
    """Centres and a cell's half width for `number` equal things."""
    rows = rng.choice(LAYOUTS[number])
    if rows is None:
        return [(128 + 66 * dx, 128 + 66 * dy) for dx, dy in ((-1, -1), (1, -1), (0, 0), (-1, 1), (1, 1))], 44
    step = 222 / max(max(rows), len(rows))
    centres = []
    for j, row in enumerate(rows):
        y = 128 + (j - (len(rows) - 1) / 2) * step
        centres += [(128 + (i - (row - 1) / 2) * step, y) for i in range(row)]
    return centres, min(56, 0.46 * step)


def layout(spec, rng):
    """Each thing, its middle and its radius, row by row."""
    centres, half = places(spec["number"], rng)
    radius = half * rng.uniform(0.74, 0.84)
    return [(spec, x + rng.uniform(-3, 3), y + rng.uniform(-3, 3), radius) for x, y in centres]


def draw(spec, rng, size):
    canvas = Canvas(size, BACKGROUNDS[spec["background"]])
    for _, x, y, radius in layout(spec, rng):
        canvas.polygon(outline(spec["shape"], x, y, radius), COLOURS[spec["colour"]])
    return canvas.finish()
