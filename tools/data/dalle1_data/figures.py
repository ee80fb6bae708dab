"""Outlines of the flat shapes, in a frame from -1 to 1 (y down)."""

import math

SHAPES = ("circle", "square", "triangle", "star", "heart", "pentagon", "hexagon", "diamond", "cross", "crescent")
# Shapes with room for another shape in the middle, and where that middle is.
CONTAINERS = {"circle": 0.0, "square": 0.0, "hexagon": 0.0, "pentagon": 0.04, "heart": 0.02, "diamond": 0.0}


def _regular(corners, turn=-math.pi / 2):
    angles = [turn + 2 * math.pi * i / corners for i in range(corners)]
    return [(math.cos(a), math.sin(a)) for a in angles]


def _star():
    radii = (1.05, 0.45)
    angles = [-math.pi / 2 + math.pi * i / 5 for i in range(10)]
    return [(radii[i % 2] * math.cos(a), radii[i % 2] * math.sin(a)) for i, a in enumerate(angles)]


def _heart():
    def point(t):
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        return 16 * math.sin(t) ** 3 / 17, -(y + 2) / 17

    return [point(2 * math.pi * i / 72) for i in range(72)]


def _cross():
    a = 0.34
    return [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)]


def _crescent():
    """A disc less another disc that lies to the right; both arcs meet at the tips."""
    offset, radius = 0.52, 0.82
    x = (1 - radius**2 + offset**2) / (2 * offset)
    outer_tip = math.acos(x)
    inner_tip = math.acos((x - offset) / radius)
    steps = [i / 48 for i in range(49)]
    outer = [outer_tip + (2 * math.pi - 2 * outer_tip) * t for t in steps]
    inner = [2 * math.pi - inner_tip - (2 * math.pi - 2 * inner_tip) * t for t in steps]
    shift = 0.25
    edge = [(math.cos(a) + shift, math.sin(a)) for a in outer]
    return edge + [(offset + radius * math.cos(a) + shift, radius * math.sin(a)) for a in inner]


_OUTLINES = {
    "circle": _regular(96),
    "square": [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)],
    "triangle": [(0, -0.92), (1.0, 0.8), (-1.0, 0.8)],
    "star": _star(),
    "heart": _heart(),
    "pentagon": _regular(5),
    "hexagon": _regular(6, 0),
    "diamond": [(0, -1.05), (0.75, 0), (0, 1.05), (-0.75, 0)],
    "cross": _cross(),
    "crescent": _crescent(),
}


def outline(shape, cx, cy, radius):
    return [(cx + radius * x, cy + radius * y) for x, y in _OUTLINES[shape]]
