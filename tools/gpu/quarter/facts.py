"""What a run found out: facts.tsv, whole at every moment, with a line for each thing that is still missing."""

import os
import shutil
from pathlib import Path

HEADER = "seconds\tstage\twhat\tvalue\n"


def write_whole(path, data):
    """The file appears with all its bytes or not at all."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def copy_whole(source, path):
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    shutil.copyfile(source, partial)
    os.replace(partial, path)


class Facts:
    """Rows of (second, stage, what, value). `stages` and `files` are what the folder will have in the end."""

    def __init__(self, folder, clock, stages, files, name="facts.tsv"):
        self.folder, self.clock, self.path = Path(folder), clock, Path(folder) / name
        self.stages, self.files = list(stages), list(files)
        self.rows = []
        self.folder.mkdir(parents=True, exist_ok=True)
        self.publish()

    def add(self, stage, what, value):
        plain = (" ".join(str(text).split()) for text in (stage, what, value))
        self.rows.append((f"{self.clock.elapsed():.1f}", *plain))
        print("\t".join(self.rows[-1]), flush=True)
        self.publish()

    def end(self, stage, status):
        """How a stage ended: done, or one word and why not."""
        if stage in self.stages:
            self.stages.remove(stage)
        self.add(stage, "status", status)

    def missing(self):
        return [("stage", name) for name in self.stages] + [
            ("file", name) for name in self.files if not (self.folder / name).exists()
        ]

    def publish(self):
        rows = self.rows + [("-", "missing", what, name) for what, name in self.missing()]
        write_whole(self.path, (HEADER + "".join("\t".join(row) + "\n" for row in rows)).encode())
