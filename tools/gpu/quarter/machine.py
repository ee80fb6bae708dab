"""The machine: the unpacked program with its libraries, processes with an end, and their logs."""

import asyncio
import ctypes
import glob
import json
import os
import signal
import sys
import tarfile
import time
from pathlib import Path
from typing import NamedTuple

GRACE = 5.0  # seconds at the end of a process's time in which it may write what it has
DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


class Ended(NamedTuple):
    status: str  # "done", "exit N" or "cut"
    seconds: float
    output: str  # what it wrote on stdout
    log: str  # and on stderr

    @property
    def good(self):
        return self.status == "done"

    @property
    def last_line(self):
        return (self.log.strip() or self.output.strip() or self.status).splitlines()[-1]

    def document(self):
        """stdout as JSON; None where it is none."""
        try:
            return json.loads(self.output)
        except ValueError:
            return None


def die_with_parent():
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def unpack(file, folder):
    """What an earlier call unpacked from the same file is used again."""
    mark = folder / "unpacked"
    stamp = f"{file.stat().st_size} {file.stat().st_mtime_ns}"
    if mark.exists() and mark.read_text() == stamp:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "r:xz") as archive:
        archive.extractall(folder)
    mark.write_text(stamp)


def library_folders():
    """Where CUDA's libraries and the driver's may be: Python's packages, the toolkit, what the machine says itself."""
    python = [folder for place in sys.path for folder in glob.glob(f"{place}/nvidia/*/lib")]
    toolkit = [folder for folder in ("/usr/local/cuda/lib64", "/usr/local/nvidia/lib64") if os.path.isdir(folder)]
    return [*python, *toolkit, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]


class Machine:
    """`device` and `shard_device` become cpu when the preflight finds that the GPU does not serve this program;
    `torch_device` is PyTorch's, None without it."""

    def __init__(self, settings):
        self.settings = settings
        self.folder = settings.work / "pack"
        self.program, self.tests = self.folder / "tools" / "dalle1", self.folder / "tests" / "dalle1_tests"
        self.expect = self.folder / "expect"
        self.logs = settings.work / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.device = self.shard_device = settings.device
        self.torch_device = None

    def own_libraries(self, threads=None):
        """For our program alone: PyTorch brings its own."""
        paths = [str(self.folder / "lib"), *library_folders()]
        environment = {"LD_LIBRARY_PATH": ":".join(paths), "DALLE1_GOLDEN": "tests/golden"}
        return {**environment, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}

    async def dalle1(self, name, *arguments, seconds, threads=None, device=None):
        told = ["--device", device or self.device, *(["--threads", threads] if threads else [])]
        return await self.run(name, [self.program, *arguments, *told], seconds, self.own_libraries(threads))

    async def python(self, name, *arguments, seconds, environment={}):
        return await self.run(name, [sys.executable, *arguments], seconds, environment)

    async def run(self, name, command, seconds, environment={}):
        """Told to end GRACE seconds before its time is over, killed with all its children when it is."""
        begin, status = time.monotonic(), "cut"
        outputs = [self.logs / f"{name}.{kind}" for kind in ("out", "log")]
        with open(outputs[0], "wb") as out, open(outputs[1], "wb") as log:
            process = await asyncio.create_subprocess_exec(
                *map(str, command), stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=log,
                env={**os.environ, **environment}, preexec_fn=die_with_parent, process_group=0,
            )
            try:
                grace = min(GRACE, seconds / 4)
                for number, wait in ((signal.SIGTERM, seconds - grace), (signal.SIGKILL, grace)):
                    try:
                        code = await asyncio.wait_for(process.wait(), wait)
                        if number == signal.SIGTERM:
                            status = f"exit {code}" if code else "done"
                        break
                    except asyncio.TimeoutError:
                        os.killpg(process.pid, number)
            finally:
                kill_group(process.pid)  # also what it may have left running
                await process.wait()
        texts = [path.read_text(errors="replace") for path in outputs]
        return Ended(status, time.monotonic() - begin, *texts)


def kill_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
