"""A page of figures of several scripts: each kept with its day, so that one can be repeated.

The figures are in `NAME.json` beside the page `NAME.md`.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Figures = dict[str, Any]
Line = tuple[str, str, str]
"""What, the bar, what was measured."""


@dataclass(frozen=True)
class Part:
    """A script `{page}_{part}.py`, which writes its figures to the file after `option`."""

    lines: Callable[[Any], list[Line]]
    option: str = "--json"
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """All parts of one page, in its order, and what stands around its table."""

    name: str
    title: str
    parts: Mapping[str, Part]
    conditions: str
    end: Sequence[str] = ()

    def text(self, taken: dict[str, Figures]) -> str:
        """The page in Markdown."""
        rows = [
            f"| {what} | {bar} | {measured} |"
            for name, part in self.parts.items()
            if name in taken
            for what, bar, measured in part.lines(taken[name]["figures"])
        ]
        days = " and ".join(sorted({one["taken"] for one in taken.values()}))
        machine = f"{platform.system()}, {os.cpu_count()} shared cores"
        return "\n".join(
            [
                f"# {self.title}",
                "",
                f"<!-- Made by bench/{self.name}.py from {self.name}.json. -->",
                "",
                f"Taken {days} on {machine}, Python {platform.python_version()}{self.conditions}",
                "",
                "| What | Bar | Measured |",
                "|---|---|---|",
                *rows,
                *self.end,
                "",
            ]
        )

    def measure(
        self, out: Path, only: Sequence[str], replaced: Mapping[str, str] | None = None
    ) -> None:
        """Run scripts and write the page after each; `replaced` are words of their arguments."""
        file = out / f"{self.name}.json"
        taken: dict[str, Figures] = json.loads(file.read_text()) if file.exists() else {}
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        for name in only:
            print(f"-- {name}", flush=True)
            words = [(replaced or {}).get(one, one) for one in self.parts[name].arguments]
            taken[name] = {"taken": today, "figures": self._run(name, words)}
            file.write_text(json.dumps(taken, indent=1) + "\n")
            (out / f"{self.name}.md").write_text(self.text(taken))

    def _run(self, name: str, words: list[str]) -> Any:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "figures.json"
            script = str(HERE / f"{self.name}_{name}.py")
            # One thread for BLAS, as trainers have it.
            surroundings = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
            command = [sys.executable, script, self.parts[name].option, str(file), *words]
            # A script's exit code says whether its bar was held; the page says so too.
            subprocess.run(command, check=False, env=surroundings)
            return json.loads(file.read_text())
