"""How far a training is, in steps of its training file: counted, or stretched over the seconds until a deadline."""

import time


class Steps:
    def __init__(self, steps, most=None):
        self.last = min(steps, most or steps)

    def position(self, done):
        return done

    def over(self, done):
        return done >= self.last


class Deadline:
    """Rates, text slots and the like follow the share of the time, so that they end where the file has them end on a
    machine of any speed. The time runs from the first step on until `end`, less the seconds of what comes after it."""

    def __init__(self, steps, end):
        self.steps, self.begin, self.end, self.asked = steps, None, end, []

    def reserve(self, seconds):
        self.end -= seconds

    def position(self, done):
        now = time.monotonic()
        self.begin = self.begin or now
        return self.steps * (1 - (self.end - now) / (self.end - self.begin) if now < self.end else 1)

    def over(self, done):
        """Whether another step would pass the end. It is taken to last as long as the shorter of the last two: one that
        compiles for a new shape is the exception."""
        now = time.monotonic()
        self.asked = [*(self.asked or [self.begin]), now][-3:]
        step = min(after - before for before, after in zip(self.asked, self.asked[1:]))
        return now + step >= self.end
