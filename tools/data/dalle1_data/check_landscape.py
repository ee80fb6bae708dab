"""Reads landscapes back: which of all (place, time) a picture resembles most, and whether it does so at all.

A picture is described by the colours in horizontal bands (mean and spread). Each (place, time) is known from drawings
of its own, made here; the distance to it is measured in the spread of such drawings (Mahalanobis, pooled over all).
What stands in it must have colours that such landscapes have at that height, what hangs in the open sky must be a cloud
or the one sun or moon, and on the ground in front nothing large may lie.
"""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from . import landscape
from .check_shapes import Wrong
from .palette import lab
from .rng import Rng

SIDE = 64  # pixels of the side at which pictures are compared
BANDS = 16
DRAWINGS = 24  # of each (place, time)
NOISE = 2.5  # Lab units that a decoder may add to a band's figures
MAX_DISTANCE = 1.8  # root mean square over the figures, in spreads
BIN = 10  # Lab units of a palette's bins
BINS = (11, 27, 27)  # of L, a and b
PALETTE_BANDS = 4  # a colour is at home within so many bands of where it was seen
MAX_FOREIGN = 16  # pixels of the largest patch in colours that are not
OPEN_SKY = 33  # rows above the highest horizon
FOREGROUND = 55  # the first row that no tree and no hill begins below
SKY_NOISE = 9.0  # Lab distance from the sky's colours within which it is still sky
SAME_COLOUR = 14.0  # Lab distance within which a patch has the colour of a cloud or of the ground
LIGHT_COLOUR = 22.0  # the same for the sun and the moon: whatever is as yellow counts as one
MIN_THING = 12  # pixels of a patch that counts,
MIN_IN_SKY = 20  # and of one in the sky, where stars may run together
CLOUD_RATIO = 1.25  # a cloud is at least so much wider than high;
CLOUD_WIDTH = 13  # or it is several, one over the other: so wide,
CLOUDS_FILL = 0.75  # and this share of the rectangle around them at most


def prepared(image):
    """Lab pixels [SIDE, SIDE, 3], slightly blurred, as a decoder would."""
    small = image.convert("RGB").resize((SIDE, SIDE), Image.BOX).filter(ImageFilter.GaussianBlur(0.5))
    return lab(np.asarray(small))


def features(pixels):
    """[BANDS * 6]: mean and spread of L, a and b in each band."""
    bands = pixels.reshape(BANDS, -1, 3)
    return np.concatenate([bands.mean(1), bands.std(1)], 1).ravel()


@lru_cache(maxsize=40)
def drawings(place, time):
    spec = {"place": place, "time": time}
    return [prepared(landscape.draw(spec, Rng("check", place, time, index), SIDE)) for index in range(DRAWINGS)]


@lru_cache(maxsize=1)
def classes():
    """Names, means [classes, features], and the matrix that makes pooled deviations white."""
    names = [(place, time) for place in landscape.NAMES for time in landscape.TIMES]
    means, deviations = [], []
    for name in names:
        rows = [features(pixels) for pixels in drawings(*name)]
        means.append(np.mean(rows, 0))
        deviations.append(rows - means[-1])
    spread = np.concatenate(deviations)
    covariance = spread.T @ spread / (len(spread) - len(names)) + NOISE**2 * np.eye(spread.shape[1])
    return names, np.array(means), np.linalg.inv(np.linalg.cholesky(covariance))


def distances(pixels):
    names, means, whitening = classes()
    steps = (features(pixels) - means) @ whitening.T
    return dict(zip(names, np.sqrt((steps**2).mean(1))))


def bins_of(pixels):
    """The band and the colour bin of each pixel: four index arrays."""
    bands = np.repeat(np.arange(BANDS), SIDE // BANDS)[:, None] + np.zeros((1, SIDE), int)
    colours = (pixels / BIN + (0.5, 13.5, 13.5)).astype(int)
    return (bands, *(np.clip(colours[..., k], 0, BINS[k] - 1) for k in range(3)))


@lru_cache(maxsize=40)
def palette(place, time):
    """[BANDS, *BINS]: whether such a landscape may have such a colour there."""
    seen = np.zeros((BANDS, *BINS), bool)
    for pixels in drawings(place, time):
        seen[bins_of(pixels)] = True
    return ndimage.maximum_filter(seen, (2 * PALETTE_BANDS + 1, 3, 3, 3))


def largest_foreign_patch(pixels, place, time):
    foreign = ~palette(place, time)[bins_of(pixels)]
    patches, count = ndimage.label(foreign)
    return np.bincount(patches.ravel())[1:].max() if count else 0


def near(pixels, colour, distance=SAME_COLOUR):
    return np.linalg.norm(pixels - lab(colour), axis=-1) < distance


def patches_of(mask, least=MIN_THING):
    """The slices and the mask of each patch of so many pixels or more."""
    labels, _ = ndimage.label(mask)
    for index, where in enumerate(ndimage.find_objects(labels), 1):
        patch = labels[where] == index
        if patch.sum() >= least:
            yield where, patch


def is_cloud(pixels, where, patch, time):
    if time not in landscape.CLOUDS or near(pixels[where], landscape.CLOUDS[time])[patch].mean() < 0.5:
        return False
    height, width = patch.shape
    cut_off = where[1].start == 0 or where[1].stop == SIDE
    several = width >= CLOUD_WIDTH and patch.mean() <= CLOUDS_FILL
    return cut_off or several or width >= CLOUD_RATIO * height


def sky_rows(time):
    """[SIDE, 3]: the Lab colours of a clear sky's rows."""
    share = (np.arange(SIDE)[:, None] + 0.5) / SIDE
    top, bottom = (np.array(colour) for colour in landscape.SKIES[time])
    return lab(top * (1 - share) + bottom * share)


def strange_in_sky(pixels, time):
    """What hangs in the open sky and does not belong there, or None."""
    light = np.zeros((SIDE, SIDE), bool)
    if time in landscape.LIGHTS:
        light = near(pixels, landscape.LIGHTS[time], LIGHT_COLOUR)
        light[OPEN_SKY:] = False
        if len(list(patches_of(light))) > 1:
            return "a second sun or moon"
    sky = sky_rows(time)[:, None]
    for where, patch in patches_of(np.linalg.norm(pixels - sky, axis=-1) > SKY_NOISE, MIN_IN_SKY):
        in_the_air = where[0].stop <= OPEN_SKY
        if in_the_air and light[where][patch].sum() < MIN_THING and not is_cloud(pixels, where, patch, time):
            return "something that is no cloud"
    return None


def has_thing_in_foreground(pixels):
    ground = pixels[FOREGROUND:]
    plain = np.median(ground, axis=1, keepdims=True)
    return any(True for _ in patches_of(np.linalg.norm(ground - plain, axis=-1) > SAME_COLOUR))


def check_landscape(image, spec):
    place, time = spec["place"], spec["time"]
    what = f"{landscape.NAMES[place]} {time}"
    pixels = prepared(image)
    found = distances(pixels)
    nearest = min(found, key=found.get)
    if nearest != (place, time):
        raise Wrong(f"it looks more like {landscape.NAMES[nearest[0]]} {nearest[1]}")
    if found[nearest] > MAX_DISTANCE:
        raise Wrong(f"it does not look like {what}")
    if largest_foreign_patch(pixels, place, time) > MAX_FOREIGN:
        raise Wrong(f"something in it does not belong to {what}")
    strange = strange_in_sky(pixels, time)
    if strange:
        raise Wrong(f"in the sky is {strange}")
    if has_thing_in_foreground(pixels):
        raise Wrong("something lies in the foreground")
