"""Finds the tools, and silences progress."""

import contextlib
import io
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "data"
sys.path.insert(0, str(TOOLS))

from dalle1_data.kinds import DRAWN  # noqa: E402

__all__ = ["DRAWN", "TOOLS", "quiet"]


def quiet():
    return contextlib.redirect_stderr(io.StringIO())
