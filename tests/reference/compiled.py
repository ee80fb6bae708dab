"""torch.compile, trusted only after one step that agrees with the plain one."""

import copy
import os
import tempfile
import time

import torch

# Where it is not told, the compiler asks for the user's name, which a container may lack.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(tempfile.gettempdir(), f"inductor-{os.getuid()}"))

LARGEST_DIFFERENCE = {torch.bfloat16: 2e-2, torch.float32: 1e-4}  # of loss and gradient's norm, relative


def in_one_line(error):
    """A compiler's errors are pages; their first lines say what was wrong."""
    return f"{type(error).__name__}: {' '.join(str(error).splitlines()[:2])}"


def loss_and_norm(model, w, arguments):
    losses = model.loss(w, *arguments)
    gradients = torch.autograd.grad(losses[0], list(w.values()))
    return losses[0].item(), torch.stack([gradient.norm() for gradient in gradients]).norm().item()


def checked(model, w, arguments, compute, say):
    """A model with its layer (once for all layers) and its end compiled; or the same model, with a loud word, when that
    fails or a step of `model.loss(w, *arguments)` differs."""
    if not hasattr(torch, "compile"):
        say(f"WARNING: NOT COMPILED: PyTorch {torch.__version__} has no torch.compile")
        return model
    begin, quick = time.monotonic(), copy.copy(model)
    try:
        quick.block, quick.nats = (torch.compile(part, dynamic=False) for part in (model.block, model.nats))
        found, expected = (loss_and_norm(one, w, arguments) for one in (quick, model))
    except Exception as error:  # whatever a compiler throws
        say(f"WARNING: NOT COMPILED: torch.compile failed its check: {in_one_line(error)}")
        return model
    difference = max(abs(a - b) / abs(b) for a, b in zip(found, expected))
    if not difference <= LARGEST_DIFFERENCE[compute]:
        say(f"WARNING: NOT COMPILED: a compiled step differs by {difference:.2g}, relative "
            f"(limit {LARGEST_DIFFERENCE[compute]:g})")
        return model
    say(f"compiled in {time.monotonic() - begin:.0f} s; a step agrees with the plain one to {difference:.2g}")
    return quick
