"""Judges the clauses of descriptions of landscapes: sky and light, clouds, ground, and what stands there."""

from functools import cached_property, lru_cache

import numpy as np

from . import check_landscape, landscape
from .check_landscape import FOREGROUND, LIGHT_COLOUR, MAX_DISTANCE, near
from .check_shapes import Wrong
from .describe import CLOUD_ROWS, LIGHT_DOUBT, cloud_shares, middle_of
from .sentences import BANKS, GROUNDS, HEIGHTS, HOURS, SIDES, SKIES, VIEWS

TOP_ROWS = 6  # of 64, in which the sky is recognised
MAX_SKY_ERROR = 14.0  # Lab distance of the rows' medians from such a sky
LIGHT_ROWS = 46  # no sun stands lower
HIGH = 90.0  # units from the top within which the middle of a high sun or moon is
CLOUDED = 0.008  # share of a third of the upper sky that makes clouds
LIGHT_SLACK = LIGHT_DOUBT / 2  # units by which the middle of the sun or moon may be off
ONE_SIDE = 0.9  # share of the clouds that must be on the side that is said
MAX_GROUND_ERROR = 14.0  # Lab distance of the ground's median from such ground


class Scene:
    """What is read of a landscape; each part when it is first asked for."""

    def __init__(self, image):
        self.pixels = check_landscape.prepared(image)

    @cached_property
    def time(self):
        """Of all times, the one whose sky the top rows resemble."""
        rows = np.median(self.pixels[:TOP_ROWS], axis=1)
        skies = {time: check_landscape.sky_rows(time)[:TOP_ROWS] for time in landscape.TIMES}
        errors = {time: np.linalg.norm(rows - sky, axis=-1).mean() for time, sky in skies.items()}
        time = min(errors, key=errors.get)
        if errors[time] > MAX_SKY_ERROR:
            raise Wrong("it has no such sky")
        return time

    @cached_property
    def place(self):
        found = check_landscape.distances(self.pixels)
        nearest = min(found, key=found.get)
        if found[nearest] > MAX_DISTANCE:
            raise Wrong("it is no such landscape")
        return nearest[0]

    @cached_property
    def light(self):
        """The mask of the sun or moon, or None."""
        if self.time not in landscape.LIGHTS:
            return None
        mask = near(self.pixels, landscape.LIGHTS[self.time], LIGHT_COLOUR)
        mask[LIGHT_ROWS:] = False
        found = max(check_landscape.patches_of(mask), key=lambda patch: patch[1].sum(), default=None)
        if found is None:
            return None
        where, patch = found
        alone = np.zeros_like(mask)
        alone[where] = patch
        return alone

    @cached_property
    def clouds(self):
        mask = np.zeros(self.pixels.shape[:2], bool)
        if self.time in landscape.CLOUDS:
            rows = int(CLOUD_ROWS * len(mask))
            mask[:rows] = near(self.pixels[:rows], landscape.CLOUDS[self.time])
        return mask


@lru_cache(maxsize=40)
def ground_colour(place, time):
    return np.median([pixels[FOREGROUND:] for pixels in check_landscape.drawings(place, time)], axis=(0, 1, 2))


def require(right, why):
    if not right:
        raise Wrong(why)


def sky_clause(scene, words):
    require(SKIES[scene.time] == words["sky"], f"the sky is {SKIES[scene.time]}, not {words['sky']}")


def hour(scene, words):
    require(HOURS[scene.time] == words["hour"], f"it is {HOURS[scene.time]}, not {words['hour']}")


def the_light(scene, word):
    """Its mask; Wrong where there is none of this name."""
    name = "moon" if scene.time == "at night" else "sun"
    require(scene.light is not None and word == name, f"there is no {word}")
    return scene.light


def light(scene, words):
    mask = the_light(scene, words["light"])
    column, y = SIDES.index(words["side"]), (np.nonzero(mask)[0].mean() + 0.5) / len(mask) * 256
    low, high = column * 256 / 3 - LIGHT_SLACK, (column + 1) * 256 / 3 + LIGHT_SLACK
    require(low < middle_of(mask) < high, f"the {words['light']} is not {words['side']}")
    require((y < HIGH) == (words["height"] == HEIGHTS[0]), f"the {words['light']} is not {words['height']}")


def no_light(scene, words):
    require(scene.light is None, "there is a sun or moon")


def clouds(scene, words):
    found = tuple((cloud_shares(scene.clouds) > CLOUDED).astype(int))
    require(found == BANKS[words["banks"]], f"clouds are not {words['banks']} alone")


def no_clouds(scene, words):
    require(not (cloud_shares(scene.clouds) > CLOUDED).any(), "there are clouds")


def beside(scene, words):
    sun, columns = middle_of(the_light(scene, words["light"])), (np.nonzero(scene.clouds)[1] + 0.5) * 4
    require(len(columns), "there are no clouds")
    right_of_it = (columns > sun).mean()
    share = right_of_it if words["beside"] == "to the left of" else 1 - right_of_it
    require(share > ONE_SIDE, f"the {words['light']} is not {words['beside']} the clouds")


def ground(scene, words):
    colour = np.median(scene.pixels[FOREGROUND:], axis=(0, 1))
    errors = {place: np.linalg.norm(colour - ground_colour(place, scene.time)) for place in GROUNDS}
    nearest = min(errors, key=errors.get)
    require(errors[nearest] < MAX_GROUND_ERROR, f"the ground is not {words['ground']}")
    require(GROUNDS[nearest] == words["ground"], f"the ground is {GROUNDS[nearest]}, not {words['ground']}")


def view(scene, words):
    require(VIEWS[scene.place] == words["view"], f"it has {VIEWS[scene.place]}, not {words['view']}")


JUDGES = {
    "sky": sky_clause,
    "hour": hour,
    "light": light,
    "no light": no_light,
    "clouds": clouds,
    "no clouds": no_clouds,
    "beside": beside,
    "ground": ground,
    "view": view,
}
