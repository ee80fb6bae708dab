"""Shaded solids on a table: one, side by side, one on another, or three cubes in a stack."""

import math

from . import heldout
from .canvas import Canvas
from .palette import COLOURS, PALE, darker, lighter, mix
from .words import with_article

SOLIDS = ("cube", "ball", "cylinder", "cone", "pyramid")
BASES = ("cube", "cylinder")  # what carries another solid
SOLID_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
LAYOUTS = {"one": 2, "beside": 3, "on": 4, "stack": 2}
HORIZON = 168
DEPTH = 0.28  # how far a cube's side recedes, in its width


def sample(rng):
    layout = rng.weighted(LAYOUTS)
    colours = rng.sample(SOLID_COLOURS, 3)
    number = {"one": 1, "beside": 2, "on": 2, "stack": 3}[layout]
    things = [{"colour": colours[i], "solid": rng.choice(SOLIDS)} for i in range(number)]
    if layout == "on":
        things[1]["solid"] = rng.choice(BASES)
    if layout == "stack":
        for thing in things:
            thing["solid"] = "cube"
    word = rng.choice(("to the left of", "to the right of")) if layout == "beside" else None
    return {"layout": layout, "things": things, "word": word}


def held_out(spec):
    things = spec["things"]
    held = [heldout.coloured_solid(thing["colour"], thing["solid"]) for thing in things]
    if any(held):
        return "pair"
    names = [f"{thing['colour']} {thing['solid']}" for thing in things]
    if spec["layout"] == "one":
        return None
    if spec["layout"] == "stack":
        return heldout.stack([thing["colour"] for thing in things])
    return heldout.relation(names[0], spec["word"] or "on", names[1])


def caption(spec, rng=None):
    names = [with_article(f"{thing['colour']} {thing['solid']}") for thing in spec["things"]]
    if spec["layout"] == "one":
        options = {names[0]: 2, f"{names[0]} on a table": 1, f"a 3d render of {names[0]}": 1}
    elif spec["layout"] == "beside":
        options = {f"{names[0]} {spec['word']} {names[1]}": 1}
    elif spec["layout"] == "on":
        options = {f"{names[0]} on top of {names[1]}": 2, f"{names[0]} sitting on {names[1]}": 1}
    else:
        top, middle, bottom = names
        long = f"{top} is on the top, {middle} is in the middle, and {bottom} is on the bottom"
        options = {f"{top} on {middle} on {bottom}": 1, f"a stack of three cubes. {long}": 1}
    return rng.weighted(options) if rng else next(iter(options))


def draw(spec, rng, size):
    wall = PALE[rng.choice(list(PALE))]
    return draw_scene(spec, sample_placement(spec["layout"], rng), wall, size)


# What may vary in a scene of each layout: the two ends of each length, in units.
PLACEMENTS = {
    "one": {"x": (120, 136), "side": (112, 132)},
    "beside": {"left": (67, 77), "right": (181, 191)},
    "on": {"x": (120, 136), "lower": (100, 112), "upper": (62, 76)},
    "stack": {"x": (120, 136)},
}


def sample_placement(layout, rng):
    return {name: rng.uniform(*ends) for name, ends in PLACEMENTS[layout].items()}


def draw_scene(spec, placement, wall, size):
    canvas = Canvas(size, wall)
    canvas.rect(0, HORIZON, 256, 256, mix(wall, (120, 100, 80), 0.28))
    for thing, cx, base, side in placed(spec, **placement):
        if base > 200:
            canvas.soft_shadow(cx + 0.06 * side, base, 0.62 * side, 0.1 * side)
        PAINTERS[thing["solid"]](canvas, COLOURS[thing["colour"]], cx, base, side)
    return canvas.finish()


def placed(spec, x=None, side=None, left=None, right=None, lower=None, upper=None):
    """(thing, middle, foot, side) of each solid, the lowest first."""
    things = spec["things"]
    if spec["layout"] == "one":
        return [(things[0], x, 218, side)]
    if spec["layout"] == "beside":
        first, second = things if spec["word"] == "to the left of" else things[::-1]
        return [(first, left, 214, 90), (second, right, 214, 90)]
    if spec["layout"] == "on":
        top = 226 - lower + top_inset(things[1], lower)
        return [(things[1], x, 226, lower), (things[0], x, top, upper)]
    return [(thing, x, 236 - i * 62, 62) for i, thing in enumerate(reversed(things))]


def top_inset(thing, side):
    """How far from the solid's upper edge the next one stands: the middle of its top face."""
    return -0.1 * side if thing["solid"] == "cube" else 0.17 * side


def paint_cube(canvas, colour, cx, base, side):
    left, right, top, k = cx - side / 2, cx + side / 2, base - side, DEPTH * side
    inner = right - k
    canvas.polygon([(left, top), (inner, top), (inner, base), (left, base)], colour)
    canvas.polygon([(left, top), (left + k, top - k), (right, top - k), (inner, top)], lighter(colour, 0.35))
    canvas.polygon([(inner, base), (inner, top), (right, top - k), (right, base - k)], darker(colour, 0.3))


def paint_ball(canvas, colour, cx, base, side):
    radius, steps = side / 2, 24
    dark, pale = darker(colour, 0.22), lighter(colour, 0.5)
    for i in range(steps):
        t = i / (steps - 1)
        shade = mix(dark, colour, t / 0.45) if t < 0.45 else mix(colour, pale, (t - 0.45) / 0.55)
        canvas.disc(cx - 0.13 * side * t, base - radius - 0.15 * side * t, radius * (1 - 0.93 * t), shade)


def paint_cylinder(canvas, colour, cx, base, side):
    half, rise, strips = 0.42 * side, 0.15 * side, 48
    for i in range(strips):
        u = (i + 0.5) / strips * 2 - 1  # across the front, -1 to 1
        light = math.cos((u + 0.35) * 1.25)
        shade = mix(darker(colour, 0.35), lighter(colour, 0.15), max(0, light))
        x0, x1 = cx + half * (i / strips * 2 - 1), cx + half * ((i + 1) / strips * 2 - 1)
        drop = rise * math.sqrt(max(0, 1 - u * u))
        canvas.rect(x0, base - side + rise, x1, base - rise + drop, shade)
    canvas.ellipse(cx, base - side + rise, half, rise, lighter(colour, 0.35))


def paint_cone(canvas, colour, cx, base, side):
    half, rise, strips = 0.46 * side, 0.13 * side, 40
    apex = (cx, base - 1.02 * side)
    for i in range(strips):
        a0, a1 = math.pi * (1 - i / strips), math.pi * (1 - (i + 1) / strips)
        light = math.cos((-math.cos((a0 + a1) / 2) - 0.35) * -1.0 + 0.2)
        shade = mix(darker(colour, 0.4), lighter(colour, 0.2), max(0, light))
        edge = [(cx + half * math.cos(a), base - rise + rise * math.sin(a)) for a in (a0, a1)]
        canvas.polygon([apex, *edge], shade)


def paint_pyramid(canvas, colour, cx, base, side):
    apex, front = (cx, base - side), (cx + 0.16 * side, base)
    canvas.polygon([(cx - 0.56 * side, base - 0.1 * side), apex, front], lighter(colour, 0.12))
    canvas.polygon([front, apex, (cx + 0.56 * side, base - 0.2 * side)], darker(colour, 0.3))


PAINTERS = {
    "cube": paint_cube,
    "ball": paint_ball,
    "cylinder": paint_cylinder,
    "cone": paint_cone,
    "pyramid": paint_pyramid,
}
