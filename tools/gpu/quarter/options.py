"""What a run may be told by the environment; the defaults are those of sixteen cores and one large GPU."""

import os
from dataclasses import dataclass, field, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "weights" / "default"

# Seconds of each stage in its order; None gets what the others leave.
MAIN = {"preflight": 30, "pictures": 60, "tokens": 40, "race": 40, "train": None, "sample": 45, "bring": 10}
REST = {"preflight": 8, "short": 40, "wave": 60, "small": 20, "large": 30, "memcheck": 40, "racecheck": None}


@dataclass
class Settings:
    """Each field by its name in capitals; BUDGET_TRAIN=60 and its like set a stage's seconds."""

    out: Path = ROOT / "build" / "gpu-results"
    work: Path = ROOT / "build" / "gpu-work"
    pack: Path = ROOT / "build" / "gpu-pack.tar.xz"
    limit: float = 520.0  # seconds of `main`; `rest` has its argument
    device: str = "cuda"  # or cpu, for a rehearsal
    torch: int = 1  # 0 leaves PyTorch out
    cores: int = os.cpu_count()
    pictures: int = 120_000
    chunk: int = 1250  # pictures that one process draws: what is cut is lost, what is whole stays
    batch: int = 128
    steps: int = 0  # of each part of the training, instead of its share of the time
    validation: int = 64
    keep_every: float = 60.0  # seconds between two models that are brought back
    checks: str = "CUDA*,op table*"
    prompts: int = 64
    candidates: int = 16
    patience: float = 40.0  # seconds that a trainer may take for the carried samples
    race_batch: int = 16
    race_steps: int = 20
    expected_pictures: int = 256
    decoded: str = "dalle1-12b"  # by `rest`: a preset or a file
    small_batch: int = 128  # of the training with 7 million parameters that `rest` measures
    large_batch: int = 16  # and of that with 250 million
    budgets: dict = field(default_factory=dict)


def from_environment(budgets, environment=os.environ):
    settings = Settings()
    for item in fields(settings):
        text = environment.get(item.name.upper())
        if text is not None and item.name != "budgets":
            setattr(settings, item.name, type(getattr(settings, item.name))(text))
    settings.out, settings.work, settings.pack = (
        path.absolute() for path in (settings.out, settings.work, settings.pack)
    )
    for stage, seconds in budgets.items():
        given = environment.get(f"BUDGET_{stage.upper()}")
        settings.budgets[stage] = float(given) if given else seconds
    return settings
