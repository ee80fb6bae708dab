"""The time of a run: what each stage may take. All arithmetic of deadlines is here."""

import time


class Clock:
    """Stages in their order with budgets in seconds; one of them, of budget None, gets whatever the others leave.

    A stage may take its budget, but never what later stages are promised; what it does not use goes to that one.
    """

    def __init__(self, limit, budgets, now=time.monotonic):
        self.limit, self.budgets, self.now = limit, dict(budgets), now
        self.start = now()

    def elapsed(self):
        return self.now() - self.start

    def seconds_for(self, stage):
        """How long `stage` may take if it begins now; 0 when there is no time for it."""
        names = list(self.budgets)
        promised = sum(self.budgets[name] or 0 for name in names[names.index(stage) + 1 :])
        left = max(0.0, self.limit - self.elapsed() - promised)
        budget = self.budgets[stage]
        return left if budget is None else min(budget, left)


class Timer:
    """Counts one stage's seconds down, for the steps within it."""

    def __init__(self, seconds, now=time.monotonic):
        self.end, self.now = now() + seconds, now

    def left(self, share=1.0):
        return max(0.0, share * (self.end - self.now()))
