"""A drawing surface in units of 1/256 of the picture's side, drawn large and reduced, so that edges are smooth."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

UNITS = 256
SUPERSAMPLE = 3


class Canvas:
    """All positions and lengths are in units (0 to 256, y down), whatever the size of the picture in pixels."""

    def __init__(self, size, background):
        self.size = size
        self.scale = SUPERSAMPLE * size / UNITS
        side = SUPERSAMPLE * size
        self.image = Image.new("RGB", (side, side), background)
        self._draw = ImageDraw.Draw(self.image)

    def _scaled(self, points):
        return [(x * self.scale, y * self.scale) for x, y in points]

    def vertical_gradient(self, top, bottom):
        side = self.image.height
        share = np.linspace(0, 1, side)[:, None, None]
        rows = np.array(top) * (1 - share) + np.array(bottom) * share
        self.image.paste(Image.fromarray(rows.round().astype("uint8"), "RGB").resize((side, side), Image.NEAREST))

    def polygon(self, points, fill):
        self._draw.polygon(self._scaled(points), fill=fill)

    def ellipse(self, cx, cy, rx, ry, fill):
        self._draw.ellipse(self._scaled([(cx - rx, cy - ry), (cx + rx, cy + ry)]), fill=fill)

    def disc(self, cx, cy, radius, fill):
        self.ellipse(cx, cy, radius, radius, fill)

    def rect(self, x0, y0, x1, y1, fill, radius=0):
        box = self._scaled([(x0, y0), (x1, y1)])
        self._draw.rounded_rectangle(box, radius * self.scale, fill=fill)

    def line(self, points, width, fill):
        """A thick line with round ends and joints."""
        self._draw.line(self._scaled(points), fill=fill, width=max(1, round(width * self.scale)), joint="curve")
        for x, y in points:
            self.disc(x, y, width / 2, fill)

    def arc(self, cx, cy, rx, ry, degrees, width, fill):
        """Part of an ellipse from degrees[0] to degrees[1], clockwise from three o'clock."""
        steps = np.radians(np.linspace(*degrees, 24))
        self.line([(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in steps], width, fill)

    def ring(self, cx, cy, radius, width, fill):
        self.arc(cx, cy, radius, radius, (0, 360), width, fill)

    def textured_polygon(self, points, paint):
        """Fills the polygon from another canvas, which `paint` draws."""
        other = Canvas(self.size, 0)
        paint(other)
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).polygon(self._scaled(points), fill=255)
        self.image.paste(other.image, (0, 0), mask)

    def soft_shadow(self, cx, cy, rx, ry, strength=0.3):
        """A blurred dark ellipse, blurred at low resolution because nobody can tell."""
        small = Image.new("L", (UNITS, UNITS), 0)
        ImageDraw.Draw(small).ellipse([cx - rx, cy - ry, cx + rx, cy + ry], fill=round(255 * strength))
        mask = small.filter(ImageFilter.GaussianBlur(3)).resize(self.image.size, Image.BILINEAR)
        self.image.paste((40, 40, 50), (0, 0), mask)

    def finish(self):
        return self.image.reduce(SUPERSAMPLE)
