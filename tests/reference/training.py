"""One training file on its samples: forward, backward, update; what is logged, measured and written on the way."""

import json
import math
import time

import attention
import compiled
import model_folder
import torch
from average import Average
from batches import stream
from optimizer import Optimizer
from settings import rate_at
from transformer import Transformer

LARGEST_NON_FINITE_RUN = 10
LONGER = 1.5  # what measuring and writing at the end may take of what they took at the beginning
TYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Diverged(Exception):
    pass


class Training:
    """`run` has the options of the command: device, attention, compile, workers, say."""

    def __init__(self, run, config, train, batches, arrays):
        self.run, self.config, self.train, self.batches = run, config, train, batches
        self.device, self.non_finite = torch.device(run.device), 0
        compute = TYPES[train["compute"] or ("bf16" if self.device.type == "cuda" else "f32")]
        if train["checkpoint_blocks"]:
            raise ValueError("train.checkpoint_blocks is not built here")
        torch.manual_seed(train["seed"])  # of dropout
        self.w = {name: torch.tensor(array, device=self.device, requires_grad=True) for name, array in arrays.items()}
        self.attention = attention.make(run.attention, config, self.device, compute, self.slots_at(0), run.say)
        self.model = Transformer(config, self.attention.attend, compute)
        self.stream = stream(batches, run.workers, self.device.type == "cuda")
        self.quick = self.model
        if run.compile:
            first = (*self.placed(batches[0], self.slots_at(0)), train["text_padding"], True)
            self.quick = compiled.checked(self.model, self.w, first, compute, run.say)
        self.optimizer, self.average = Optimizer(self.w, train), Average(self.w, train["ema_decay"])

    def placed(self, batch, slots):
        """Masks, text and image as the loss takes them."""
        text, image = (torch.as_tensor(part).to(self.device, non_blocking=True).long() for part in batch)
        return self.attention.masks(slots), text[:, :slots].contiguous(), image

    def slots_at(self, position):
        full = position >= self.train["full_text_from"] * self.train["steps"]
        return self.config["text_length"] if full else self.train["text_slots"]

    def advance(self, position):
        """One update; its row of figures."""
        passes, slots = self.train["accumulate"], self.slots_at(position)
        rate, sums = rate_at(self.train["learning_rate"], position), 0
        for _ in range(passes):
            losses = self.quick.loss(self.w, *self.placed(next(self.stream), slots), self.train["text_padding"], True)
            (losses[0] / passes).backward()
            sums = sums + losses.detach() / passes
        loss, text, image, norm = torch.cat([sums, self.optimizer.gradient_norm()[None]]).tolist()
        if math.isfinite(loss) and math.isfinite(norm):
            self.non_finite = 0
            self.optimizer.step(rate, norm)
            self.average.update()
        else:
            self.non_finite += 1
        self.optimizer.clear()
        if self.non_finite >= LARGEST_NON_FINITE_RUN:
            raise Diverged(f"the loss was not finite for {self.non_finite} steps in a row; lower the learning rate")
        return {"loss": loss, "text_nats": text, "image_nats": image, "gradient_norm": norm, "learning_rate": rate}

    @torch.no_grad()
    def evaluate(self):
        """Loss of the held-out samples with all text slots and the averaged parameters, in nats and bits per token."""
        nats, w = torch.zeros(2), self.average.weights()
        for batch in self.batches.validation():
            share = len(batch[0]) / self.train["validation"]
            losses = self.model.loss(w, *self.placed(batch, self.config["text_length"]), self.train["text_padding"])
            nats += share * losses[1:].float().cpu()
        if not self.train["validation"]:
            return {}
        rows = {}
        for name, value in zip(("text", "image"), nats.tolist()):
            rows |= {f"validation_{name}_nats": value, f"validation_{name}_bits": value / math.log(2)}
        return rows

    def arrays(self):
        return {name: tensor.float().cpu().numpy() for name, tensor in self.average.weights().items()}

    def save(self):
        model_folder.write(self.run.out / "model", self.config, self.arrays(), self.run.tokenizer)


class Metrics:
    """metrics.jsonl: a row is written at once; what is not finite is null."""

    def __init__(self, path):
        self.file = open(path, "w")

    def write(self, row):
        finite = {key: value if math.isfinite(value) else None for key, value in row.items()}
        self.file.write(json.dumps(finite, separators=(",", ":"), sort_keys=True) + "\n")
        self.file.flush()


class Passed:
    """Whether a multiple of a number of steps has just been passed."""

    def __init__(self, every):
        self.every, self.count = every, 0

    def at(self, position):
        before, self.count = self.count, math.floor(position / self.every)
        return self.count > before


def train_part(run, training, clock, first_step):
    """Trains until the clock is over or a stop is asked for; returns the steps done so far by all parts."""
    train, samples = training.train, training.train["batch"] * training.train["accumulate"]
    log, evaluate = Passed(train["log_every"]), Passed(train["evaluate_every"])
    if run.deadline:
        clock.reserve(LONGER * (measured(training.evaluate) + measured(training.save)))
    step, last_row, seconds, last, saved = 0, 0, 0.0, False, time.monotonic()
    while not last and not run.stop:
        begin = time.monotonic()
        row = {"step": first_step + step, **training.advance(clock.position(step))}
        step, seconds = step + 1, seconds + time.monotonic() - begin
        run.history.append((row["loss"], (time.monotonic() - begin) / samples))
        last, position = clock.over(step), clock.position(step)
        measure, logged = evaluate.at(position) or last, log.at(position)
        if measure and run.out:
            row |= training.evaluate()
        if measure or logged:
            row["seconds_per_step"], last_row, seconds = seconds / (step - last_row), step, 0.0
            run.log(row)
        if run.out and (last or run.stop or time.monotonic() - saved >= run.save_every):
            training.save()
            saved = time.monotonic()
    return first_step + step


def measured(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin
