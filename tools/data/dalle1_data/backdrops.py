"""Backdrops that are not landscapes."""

from .palette import PALE

WALLS = ("light blue", "light green", "light pink", "beige", "lavender", "light yellow")


def paint_under_water(canvas, rng):
    canvas.vertical_gradient((90, 200, 235), (10, 70, 140))
    for _ in range(12):
        canvas.ring(rng.uniform(0, 256), rng.uniform(0, 210), rng.uniform(2, 6), 1.3, (205, 240, 252))
    canvas.polygon([(0, 256), (0, 226), (84, 232), (170, 223), (256, 231), (256, 256)], (225, 205, 150))
    for _ in range(5):
        x = rng.uniform(4, 252)
        for lean in (-9, 0, 9):
            tip = (x + lean + rng.uniform(-4, 4), rng.uniform(170, 200))
            canvas.line([(x, 240), tip], 4, (40, 150, 90))


def paint_room(canvas, rng):
    floor = 186
    canvas.rect(0, 0, 256, floor, PALE[rng.choice(WALLS)])
    canvas.rect(0, floor, 256, 256, (190, 140, 95))
    for x in range(0, 330, 32):
        canvas.line([(x, floor), (x - 30, 256)], 1.4, (170, 122, 80))
    canvas.rect(0, floor - 5, 256, floor + 1, (250, 250, 248))
    x = rng.choice((24, 164))
    canvas.rect(x, 34, x + 66, 106, (255, 255, 255))
    for left in (x + 5, x + 35):
        canvas.rect(left, 39, left + 26, 101, (160, 210, 245))
