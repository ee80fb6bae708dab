"""How the characters look: one figure for all, with the ears, the face and the colours of each animal."""

from .canvas import Canvas
from .palette import darker, lighter

# body, belly, limbs: colours. ears: which kind. nose: colour, and the eyes' colour if they are not dark.
ANIMALS = {
    "penguin": {"body": (52, 60, 78), "belly": (250, 250, 250), "limbs": (40, 46, 62), "nose": (250, 160, 30)},
    "bear": {"body": (160, 108, 66), "belly": (220, 182, 138), "limbs": (136, 90, 54), "ears": "round"},
    "cat": {"body": (246, 178, 84), "belly": (255, 236, 206), "limbs": (222, 150, 60), "ears": "pointed"},
    "rabbit": {"body": (226, 217, 212), "belly": (255, 250, 248), "limbs": (200, 188, 183), "ears": "long"},
    "panda": {"body": (248, 248, 248), "belly": (248, 248, 248), "limbs": (44, 44, 50), "ears": "round"},
    "frog": {"body": (110, 190, 84), "belly": (206, 233, 158), "limbs": (86, 164, 66), "ears": "eyes"},
    "pig": {"body": (250, 184, 194), "belly": (255, 210, 216), "limbs": (236, 156, 170), "ears": "flaps"},
    "robot": {"body": (172, 182, 192), "belly": (206, 214, 222), "limbs": (134, 144, 156), "ears": "bolts"},
    "fox": {"body": (232, 112, 44), "belly": (255, 244, 232), "limbs": (190, 84, 32), "ears": "pointed"},
    "dog": {"body": (206, 160, 110), "belly": (244, 222, 192), "limbs": (176, 128, 82), "ears": "hanging"},
    "mouse": {"body": (158, 160, 172), "belly": (214, 214, 222), "limbs": (130, 132, 146), "ears": "large"},
    "snowman": {"body": (246, 250, 255), "belly": (246, 250, 255), "limbs": (214, 226, 240), "nose": (250, 140, 40)},
}
DARK = (34, 32, 38)
WHITE = (255, 255, 255)
PINK = (240, 150, 165)
SIDES = (-1, 1)


def draw_character(animal, garments, background, shift, size):
    """`garments` maps names to RGB; `shift` moves the figure by so many units."""
    canvas = Shifted(size, background, shift)
    canvas.ellipse(128, 241, 56, 7, darker(background, 0.14))
    draw_legs(canvas, animal, garments)
    draw_arms(canvas, animal, garments)
    draw_body(canvas, animal, garments)
    draw_ears(canvas, animal, hatted="hat" in garments)
    draw_head(canvas, animal)
    draw_face(canvas, animal)
    for name in ("glasses", "scarf", "hat"):
        if name in garments:
            GARMENT_PAINTERS[name](canvas, garments[name])
    return canvas.finish()


class Shifted(Canvas):
    """A canvas whose origin is moved, so that the figure below is written in fixed numbers."""

    def __init__(self, size, background, shift):
        super().__init__(size, background)
        self._shift = shift

    def _scaled(self, points):
        dx, dy = self._shift
        return super()._scaled([(x + dx, y + dy) for x, y in points])


def draw_legs(canvas, animal, garments):
    limbs = ANIMALS[animal]["limbs"]
    feet = ANIMALS[animal]["nose"] if animal == "penguin" else darker(limbs, 0.12)
    for side in SIDES:
        x = 128 + 22 * side
        canvas.rect(x - 15, 185, x + 15, 236, garments.get("pants", limbs), radius=8)
        if "boots" in garments:
            canvas.rect(x - 16, 214, x + 16, 240, garments["boots"], radius=7)
            canvas.ellipse(x + 4 * side, 234, 20, 9, garments["boots"])
            canvas.rect(x - 17, 212, x + 17, 219, lighter(garments["boots"], 0.3), radius=3)
        else:
            canvas.ellipse(x + 3 * side, 235, 18, 8, feet)


def draw_arms(canvas, animal, garments):
    limbs = ANIMALS[animal]["limbs"]
    for side in SIDES:
        shoulder, hand = (128 + 40 * side, 146), (128 + 66 * side, 178)
        canvas.line([shoulder, hand], 23, garments.get("shirt", limbs))
        if "gloves" in garments:
            canvas.disc(*hand, 16, garments["gloves"])
            canvas.disc(hand[0] - 12 * side, hand[1] - 8, 6, garments["gloves"])
        else:
            canvas.disc(*hand, 12.5, limbs)


def draw_body(canvas, animal, garments):
    look = ANIMALS[animal]
    canvas.rect(80, 120, 176, 208, garments.get("shirt", look["body"]), radius=36)
    if "shirt" in garments:
        shade = darker(garments["shirt"], 0.25) if sum(garments["shirt"]) > 150 else lighter(garments["shirt"], 0.3)
        canvas.line([(128, 128), (128, 196)], 1.6, shade)
        button = darker(garments["shirt"], 0.3) if sum(garments["shirt"]) > 690 else WHITE
        for y in (150, 166, 182):
            canvas.disc(128, y, 3, button)
    else:
        canvas.ellipse(128, 168, 32, 36, look["belly"])
        if animal == "snowman":
            for y in (152, 168, 184):
                canvas.disc(128, y, 3.4, DARK)
        if animal == "robot":
            canvas.rect(108, 150, 148, 180, (120, 200, 220), radius=4)
    if "pants" in garments:
        canvas.rect(82, 184, 174, 213, garments["pants"], radius=11)


def draw_ears(canvas, animal, hatted):
    look = ANIMALS[animal]
    kind = look.get("ears")
    outer = look["limbs"]
    for side in SIDES:
        if kind in ("round", "large"):
            radius = 17 if kind == "round" else 25
            x, y = 128 + (46 if kind == "round" else 52) * side, 54 if kind == "round" else 56
            canvas.disc(x, y, radius, outer)
            if animal != "panda":
                canvas.disc(x, y, 0.55 * radius, PINK if kind == "large" else look["belly"])
        elif kind in ("pointed", "flaps"):
            lean = 0 if kind == "pointed" else 10
            tip = (128 + (54 + lean) * side, 20 + 1.6 * lean)
            canvas.polygon([(128 + 18 * side, 56), tip, (128 + 56 * side, 84)], outer)
            inner = [(128 + 30 * side, 54), (tip[0] - 3 * side, tip[1] + 12), (128 + 52 * side, 72)]
            canvas.polygon(inner, PINK if animal != "fox" else look["belly"])
        elif kind == "long":
            x, top = 128 + (27 if not hatted else 44) * side, 6 if not hatted else 22
            canvas.rect(x - 12, top, x + 12, 66, outer, radius=12)
            canvas.rect(x - 6, top + 8, x + 6, 60, PINK, radius=6)
        elif kind == "eyes":
            canvas.disc(128 + 32 * side, 46, 19, look["body"])
        elif kind == "bolts":
            canvas.rect(128 + 60 * side - 6, 76, 128 + 60 * side + 6, 104, (96, 106, 118), radius=3)
        elif kind == "hanging":
            canvas.ellipse(128 + 56 * side, 92, 15, 34, outer)


def draw_head(canvas, animal):
    look = ANIMALS[animal]
    if animal == "robot":
        canvas.rect(74, 44, 182, 132, look["body"], radius=17)
        canvas.line([(128, 44), (128, 26)], 3, (96, 106, 118))
        canvas.disc(128, 24, 6, (225, 70, 70))
        return
    canvas.ellipse(128, 88, 58, 48, look["body"])
    if animal == "penguin":
        for side in SIDES:
            canvas.ellipse(128 + 22 * side, 96, 26, 35, look["belly"])
    if animal == "fox":
        for side in SIDES:
            canvas.ellipse(128 + 27 * side, 108, 27, 24, look["belly"])
    if animal == "dog":
        for side in SIDES:
            canvas.ellipse(128 + 56 * side, 92, 14, 33, look["limbs"])
        canvas.ellipse(128, 108, 27, 20, look["belly"])
    if animal == "bear":
        canvas.ellipse(128, 107, 23, 17, look["belly"])
    if animal == "panda":
        for side in SIDES:
            canvas.ellipse(128 + 26 * side, 86, 16, 17, DARK)


def draw_face(canvas, animal):
    bright = animal in ("panda", "robot", "frog")
    y = 46 if animal == "frog" else 86
    for side in SIDES:
        x = 128 + (32 if animal == "frog" else 25) * side
        canvas.ellipse(x, y, 9, 10, WHITE if bright else DARK)
        if bright:
            canvas.ellipse(x, y, 5, 5.5, DARK)
        canvas.disc(x - 2.5, y - 3.5, 2.6 if not bright else 1.8, WHITE)
    draw_nose(canvas, animal)
    if animal not in ("penguin", "robot"):
        canvas.arc(128, 112, 15, 9, (20, 160), 2.4, (70, 46, 44))


def draw_nose(canvas, animal):
    nose = ANIMALS[animal].get("nose")
    if animal == "penguin":
        canvas.polygon([(115, 98), (141, 98), (128, 115)], nose)
    elif animal == "snowman":
        canvas.polygon([(125, 95), (125, 107), (162, 104)], nose)
    elif animal == "pig":
        canvas.ellipse(128, 105, 18, 12, (236, 138, 154))
        for side in SIDES:
            canvas.ellipse(128 + 7 * side, 105, 3, 4.5, (176, 84, 102))
    elif animal == "robot":
        canvas.rect(104, 108, 152, 118, (96, 106, 118), radius=4)
    elif animal == "frog":
        canvas.arc(128, 96, 30, 14, (15, 165), 2.6, (48, 104, 44))
    else:
        canvas.ellipse(128, 102, 7, 5, PINK if animal in ("cat", "rabbit", "mouse") else DARK)


def paint_glasses(canvas, colour):
    for side in SIDES:
        canvas.ring(128 + 26 * side, 86, 18, 4.6, colour)
    canvas.line([(121, 84), (135, 84)], 4.6, colour)


def paint_scarf(canvas, colour):
    canvas.rect(83, 122, 173, 143, colour, radius=10)
    canvas.rect(148, 131, 168, 178, darker(colour, 0.12) if sum(colour) > 150 else lighter(colour, 0.12), radius=6)


def paint_hat(canvas, colour):
    top = [(84, 58), (88, 36), (106, 20), (128, 15), (150, 20), (168, 36), (172, 58)]
    canvas.polygon(top, colour)
    canvas.rect(75, 50, 181, 65, darker(colour, 0.18) if sum(colour) > 150 else lighter(colour, 0.18), radius=7)
    canvas.disc(128, 14, 9, lighter(colour, 0.4))


GARMENT_PAINTERS = {"glasses": paint_glasses, "scarf": paint_scarf, "hat": paint_hat}
