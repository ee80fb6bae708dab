"""Portraits: hair of a colour and a style, sometimes glasses or a hat, a shirt. Skin is as varied as people and unsaid."""

from . import heldout
from .canvas import Canvas
from .palette import COLOURS, PALE, darker, distance
from .words import listed, on_background, with_article

SKIN = ((255, 224, 196), (240, 200, 160), (210, 160, 115), (165, 115, 78), (115, 75, 50))
HAIR = {
    "black": (35, 30, 32),
    "brown": (110, 70, 40),
    "red": (190, 75, 30),
    "blond": (240, 205, 100),
    "gray": (165, 165, 172),
    "blue": (60, 110, 220),
    "pink": (245, 120, 180),
}
STYLES = ("short", "long", "curly")
EXTRAS = ("glasses", "hat")
MIN_CONTRAST = 28  # Lab distance of skin from hair, and of the background from hair and what is worn


def sample(rng):
    spec = {
        "hair": rng.choice(list(HAIR)),
        "style": rng.choice(STYLES),
        "shirt": rng.choice(list(COLOURS)),
        "extra": rng.choice(EXTRAS) if rng.chance(0.5) else None,
    }
    hair = HAIR[spec["hair"]]
    spec["skin"] = rng.choice([i for i, rgb in enumerate(SKIN) if distance(rgb, hair) > MIN_CONTRAST])
    spec["extra_colour"] = rng.choice([name for name in COLOURS if name != spec["shirt"]]) if spec["extra"] else None
    covered = [hair, COLOURS[spec["shirt"]]] + ([COLOURS[spec["extra_colour"]]] if spec["extra"] else [])
    fitting = [name for name, rgb in PALE.items() if all(distance(rgb, other) > MIN_CONTRAST for other in covered)]
    spec["background"] = rng.choice(fitting or list(PALE))
    return spec


def held_out(spec):
    return heldout.portrait(spec["hair"], spec["style"], spec["shirt"])


def caption(spec, rng=None):
    who = f"a person with {spec['style']} {spec['hair']} hair"
    worn = [with_article(f"{spec['shirt']} shirt")]
    if spec["extra"]:
        words = f"{spec['extra_colour']} {spec['extra']}"
        worn.append(words if spec["extra"] == "glasses" else with_article(words))
    plain = f"{who} wearing {listed(worn)}"
    if rng is None:
        return plain
    where = on_background(spec["background"])
    return rng.weighted({plain: 5, f"a portrait of {plain}": 3, plain + where: 2})


def draw(spec, rng, size):
    canvas = Canvas(size, PALE[spec["background"]])
    x, y = 128 + rng.uniform(-8, 8), 118 + rng.uniform(-5, 5)
    hair, skin, shirt = HAIR[spec["hair"]], SKIN[spec["skin"]], COLOURS[spec["shirt"]]
    paint_hair_behind(canvas, spec["style"], x, y, hair)
    canvas.ellipse(x, 256, 92, 66, shirt)
    canvas.rect(x - 17, y + 40, x + 17, y + 88, darker(skin, 0.1), radius=12)
    canvas.ellipse(x, y, 50, 60, skin)
    paint_face(canvas, x, y, skin)
    paint_fringe(canvas, spec["style"], x, y, hair)
    if spec["extra"] == "hat":
        paint_hat(canvas, x, y, COLOURS[spec["extra_colour"]])
    if spec["extra"] == "glasses":
        paint_glasses(canvas, x, y, COLOURS[spec["extra_colour"]])
    return canvas.finish()


def paint_hair_behind(canvas, style, x, y, hair):
    canvas.ellipse(x, y - 14, 62, 62, hair)
    if style == "long":
        canvas.rect(x - 62, y - 14, x + 62, y + 92, hair, radius=22)
    if style == "curly":
        for dx, dy in ((-58, -30), (-64, 0), (-58, 28), (58, -30), (64, 0), (58, 28), (-34, -62), (0, -74), (34, -62)):
            canvas.disc(x + dx, y + dy, 24, hair)


def paint_fringe(canvas, style, x, y, hair):
    if style == "curly":
        for dx in (-34, -12, 12, 34):
            canvas.disc(x + dx, y - 48, 18, hair)
        return
    left, right = x - 52, x + 52
    parting = x - 20 if style == "short" else x
    canvas.polygon([(left, y - 10), (left + 8, y - 52), (x, y - 70), (right - 8, y - 52), (right, y - 10),
                    (right - 12, y - 30), (parting, y - 44), (left + 12, y - 30)], hair)  # fmt: skip


def paint_face(canvas, x, y, skin):
    for side in (-1, 1):
        canvas.ellipse(x + 20 * side, y - 4, 8, 6, (255, 255, 255))
        canvas.disc(x + 20 * side, y - 4, 4, (40, 35, 40))
        canvas.line([(x + 12 * side, y - 17), (x + 28 * side, y - 17)], 3, darker(skin, 0.55))
    canvas.line([(x, y + 2), (x - 4, y + 16), (x + 2, y + 17)], 2.4, darker(skin, 0.3))
    canvas.arc(x, y + 28, 15, 9, (20, 160), 3.4, (190, 70, 80))


def paint_glasses(canvas, x, y, colour):
    for side in (-1, 1):
        canvas.ring(x + 20 * side, y - 4, 15, 5, colour)
        canvas.line([(x + 35 * side, y - 6), (x + 50 * side, y - 10)], 4, colour)
    canvas.line([(x - 5, y - 6), (x + 5, y - 6)], 4, colour)


def paint_hat(canvas, x, y, colour):
    canvas.rect(x - 46, y - 104, x + 46, y - 44, colour, radius=20)
    canvas.rect(x - 68, y - 54, x + 68, y - 38, darker(colour, 0.18), radius=7)
