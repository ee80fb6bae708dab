"""Landscapes at a time of day; also the backdrop of the emoji scenes."""

import math

import numpy as np

from . import heldout
from .canvas import Canvas
from .palette import mix

TIMES = ("at noon", "at sunrise", "at sunset", "at night", "on a cloudy day")
SKIES = {
    "at noon": ((70, 160, 245), (190, 228, 255)),
    "at sunrise": ((250, 170, 130), (255, 230, 190)),
    "at sunset": ((95, 60, 130), (255, 140, 70)),
    "at night": ((10, 14, 45), (35, 45, 95)),
    "on a cloudy day": ((150, 160, 172), (205, 212, 218)),
}
# The sun or the moon, of which there is one, and clouds.
LIGHTS = {
    "at noon": (255, 216, 84),
    "at sunrise": (255, 216, 84),
    "at sunset": (255, 190, 70),
    "at night": (250, 245, 215),
}
LIGHT_RADII = {"at noon": 23, "at sunrise": 23, "at sunset": 23, "at night": 20}
LOW = ("at sunset", "at sunrise")  # when the sun is low
CLOUDS = {"at noon": (255, 255, 255), "on a cloudy day": (232, 235, 238)}
LAYOUT_SIDE = 64  # of the picture in which a layout is taken
# What the light does to colours: the tint and its share.
TINTS = {
    "at noon": ((255, 255, 255), 0.0),
    "at sunrise": ((255, 180, 130), 0.25),
    "at sunset": ((90, 40, 60), 0.32),
    "at night": ((10, 15, 45), 0.6),
    "on a cloudy day": ((120, 125, 130), 0.3),
}
NAMES = {
    "meadow": "a meadow",
    "beach": "a beach",
    "desert": "a desert",
    "snow": "snowy hills",
    "forest": "a forest",
    "mountains": "mountains",
    "city": "a city",
    "sea": "the sea",
}


def sample(rng):
    return {"place": rng.choice(list(NAMES)), "time": rng.choice(TIMES)}


def held_out(spec):
    return heldout.landscape(spec["place"], spec["time"])


def caption(spec, rng=None):
    scene = f"{NAMES[spec['place']]} {spec['time']}"
    if rng is None:
        return scene
    return rng.weighted({scene: 4, f"a painting of {scene}": 1, f"a landscape with {scene}": 1, f"a view of {scene}": 1})


def draw(spec, rng, size):
    canvas = Canvas(size, 0)
    paint(canvas, rng, spec["place"], spec["time"])
    return canvas.finish()


class Layout:
    """What of the sun or moon and of the clouds is to be seen: masks of pixels, from what each step of painting changed."""

    def __init__(self, canvas):
        self.canvas, self.before = canvas, None
        self.seen = {}

    def painted(self, what):
        now = np.array(self.canvas.image)
        if self.before is not None:
            changed = (now != self.before).any(-1)
            for mask in self.seen.values():
                mask &= ~changed
            self.seen[what] = self.seen.get(what, False) | changed
        self.before = now


def layout(spec, rng):
    """{"light": mask, "clouds": mask} as far as there are such; draws what `draw` does with the same `rng`."""
    canvas = Canvas(LAYOUT_SIDE, 0)
    found = Layout(canvas)
    paint(canvas, rng, spec["place"], spec["time"], found.painted)
    return {what: found.seen[what] for what in ("light", "clouds") if what in found.seen}


def paint(canvas, rng, place, time, painted=lambda what: None):
    """Paints the whole canvas; returns the height of the horizon.

    Says what has just been painted to `painted`: "sky", "light", "clouds" after each of them, "ground".
    """
    horizon = rng.uniform(132, 166)
    paint_sky(canvas, rng, time, horizon, painted)
    PAINTERS[place](Scene(canvas, rng, time), horizon)
    painted("ground")
    return horizon


def paint_sky(canvas, rng, time, horizon, painted):
    canvas.vertical_gradient(*SKIES[time])
    if time == "at night":
        for _ in range(50):
            canvas.disc(rng.uniform(0, 256), rng.uniform(0, horizon), rng.choice((0.6, 0.6, 1.0, 1.4)), (255, 255, 230))
        painted("sky")
        canvas.disc(rng.uniform(35, 221), rng.uniform(28, 60), LIGHT_RADII[time], LIGHTS[time])
        painted("light")
        return
    painted("sky")
    if time in LIGHTS:
        y = horizon - rng.uniform(4, 18) if time in LOW else rng.uniform(34, 60)
        canvas.disc(rng.uniform(35, 221), y, LIGHT_RADII[time], LIGHTS[time])
        painted("light")
    if time in CLOUDS:
        for _ in range(rng.integer(1, 2) if time == "at noon" else rng.integer(3, 4)):
            paint_cloud(canvas, rng, rng.uniform(20, 216), rng.uniform(24, 0.55 * horizon), CLOUDS[time])
            painted("clouds")


def paint_cloud(canvas, rng, x, y, colour):
    for k, radius in ((-2, 8), (-1, 12), (0, 15), (1, 12), (2, 8)):
        canvas.disc(x + 11 * k, y - 0.4 * radius + rng.uniform(-2, 2), radius, colour)
    canvas.rect(x - 30, y - 6, x + 30, y + 5, colour, radius=5.5)


class Scene:
    """The ground and what stands on it, in the light of the hour."""

    def __init__(self, canvas, rng, time):
        self.canvas, self.rng, self.time = canvas, rng, time

    def lit(self, colour):
        return mix(colour, *TINTS[self.time])

    def hills(self, height, swing, waves, colour):
        phase = self.rng.uniform(0, 2 * math.pi)
        top = []
        for x in range(0, 261, 4):
            t = x * waves / 256 * 2 * math.pi
            top.append((x, height + swing * math.sin(t + phase) + 0.4 * swing * math.sin(2.3 * t + 2 * phase)))
        self.canvas.polygon([(0, 256), *top, (260, 256)], self.lit(colour))

    def tree(self, x, y, height, colour):
        self.canvas.rect(x - 0.06 * height, y - 0.25 * height, x + 0.06 * height, y, self.lit((110, 75, 45)))
        for k in range(3):
            foot, half = y - (0.2 + 0.24 * k) * height, (0.34 - 0.08 * k) * height
            self.canvas.polygon([(x - half, foot), (x + half, foot), (x, foot - 0.4 * height)], self.lit(colour))

    def scatter(self, count, low, high):
        return sorted(((self.rng.uniform(0, 256), self.rng.uniform(low, high)) for _ in range(count)), key=lambda p: p[1])


def paint_meadow(scene, horizon):
    scene.hills(horizon - 10, 7, 1.2, (120, 190, 90))
    scene.hills(horizon + 15, 7, 0.8, (96, 176, 72))
    for x, y in scene.scatter(22, horizon + 36, 252):
        petal = scene.rng.choice(((255, 255, 255), (255, 220, 60), (240, 120, 160)))
        scene.canvas.disc(x, y, 2.4, scene.lit(petal))


def paint_beach(scene, horizon):
    scene.canvas.rect(0, horizon - 28, 256, 256, scene.lit((40, 140, 200)))
    scene.hills(horizon + 20, 4, 0.7, (240, 215, 160))


def paint_desert(scene, horizon):
    scene.hills(horizon - 5, 13, 0.9, (235, 190, 120))
    scene.hills(horizon + 26, 9, 0.6, (222, 170, 98))


def paint_snow(scene, horizon):
    scene.hills(horizon - 10, 8, 1.0, (222, 234, 246))
    scene.hills(horizon + 20, 6, 0.7, (244, 249, 253))
    for x, y in scene.scatter(4, horizon + 10, horizon + 50):
        scene.tree(x, y, scene.rng.uniform(40, 60), (60, 120, 95))


def paint_forest(scene, horizon):
    scene.hills(horizon - 5, 5, 1.0, (60, 130, 70))
    for x, y in scene.scatter(12, horizon, horizon + 34):
        scene.tree(x, y, scene.rng.uniform(78, 108), scene.rng.choice(((25, 105, 55), (40, 130, 65), (20, 90, 60))))
    scene.hills(horizon + 42, 4, 0.8, (90, 160, 75))


def paint_mountains(scene, horizon):
    foot = horizon + 12
    for k in range(4):
        x, height = 32 + 64 * k + scene.rng.uniform(-24, 24), scene.rng.uniform(64, 118)
        half = 0.85 * height
        scene.canvas.polygon([(x - half, foot), (x + half, foot), (x, foot - height)], scene.lit((112, 120, 142)))
        snow, drop = 0.28 * half, 0.28 * height
        cap = [(x, foot - height), (x + snow, foot - height + drop), (x, foot - height + 0.75 * drop)]
        scene.canvas.polygon([*cap, (x - snow, foot - height + drop)], scene.lit((245, 248, 252)))
    scene.hills(horizon + 6, 5, 0.9, (95, 165, 85))


def paint_city(scene, horizon):
    rng, street = scene.rng, horizon + 30
    lights_on = scene.time in ("at night", "at sunset")
    x = -rng.uniform(0, 12)
    while x < 256:
        width, height = rng.uniform(22, 38), rng.uniform(50, 128)
        wall = rng.choice(((90, 105, 130), (120, 110, 125), (75, 90, 110), (140, 120, 110)))
        scene.canvas.rect(x, street - height, x + width, 256, scene.lit(wall))
        columns = int((width - 6) // 8)
        left = x + (width - 8 * columns + 3) / 2
        for row in range(int((height - 8) // 11)):
            for column in range(columns):
                glow = lights_on and rng.chance(0.7)
                pane = (255, 225, 130) if glow else scene.lit((190, 215, 235))
                wx, wy = left + 8 * column, street - height + 7 + 11 * row
                scene.canvas.rect(wx, wy, wx + 5, wy + 6, pane)
        x += width + 2
    scene.canvas.rect(0, street, 256, 256, scene.lit((150, 152, 156)))


def paint_sea(scene, horizon):
    scene.canvas.rect(0, horizon - 6, 256, 256, scene.lit((30, 120, 190)))
    for x, y in scene.scatter(16, horizon + 6, 250):
        scene.canvas.arc(x, y, 13, 4, (200, 340), 1.8, scene.lit((150, 210, 240)))


PAINTERS = {
    "meadow": paint_meadow,
    "beach": paint_beach,
    "desert": paint_desert,
    "snow": paint_snow,
    "forest": paint_forest,
    "mountains": paint_mountains,
    "city": paint_city,
    "sea": paint_sea,
}
