"""Measures the screen as a person meets it: `spice-tui` in a terminal, beside its peers.

    python bench/terminal.py [--peers DIR] [--out docs/benchmarks] [--only NAME …] [--repeat 5]

`--peers DIR` holds a virtual environment for each of harlequin, posting and toolong
(`DIR/harlequin/bin/harlequin`); btop and htop are taken from the PATH. Whatever is missing is
left out. Writes `terminal.json` and `terminal.md` there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from terminal_pty import Program, keys_cost
from terminal_report import write
from terminal_world import World, wait, world

SIZE = (120, 40)
HERE = Path(__file__).resolve().parent
Figures = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """Another program: what a usable screen of it shows, keys to move with, and to leave."""

    name: str
    command: list[str]
    ready: str
    keys: tuple[str, str]
    leave: str


def environment(base: Path, **variables: str) -> dict[str, str]:
    """A plain modern terminal at home."""
    keep = {name: os.environ[name] for name in ("PATH", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    return {
        **keep,
        "HOME": str(base),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        **variables,
    }


def ours(w: World, *arguments: str, **variables: str) -> Program:
    """The screen on the world's folder."""
    program = str(Path(sys.executable).with_name("spice-tui"))
    command = [program, "-C", str(w.folder), *arguments]
    return Program(command, SIZE, environment(w.base, **variables))


READY = r"(?s)127\.0\.0\.1:\d+.*gardener"
DOWN, UP, BACKSPACE = "\x1b[B", "\x1b[A", "\x7f"


def percentile(values: list[float], share: float) -> float:
    """Of no values: NaN."""
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def latency(found: dict[str, list[float]]) -> Figures:
    """Percentiles of what `keys_cost` gives."""
    return {
        f"{name}_{label}_ms": percentile(values, share)
        for name, values in found.items()
        for label, share in (("p50", 0.5), ("p95", 0.95))
        if values
    } | {"keys": len(found["first"])}


def start(make: Callable[[], Program], ready: str, leave: str, repeat: int) -> Figures:
    """First byte and first usable screen, in seconds; how long leaving takes."""
    first: list[float] = []
    usable: list[float] = []
    left: list[float] = []
    for _ in range(repeat):
        program = make()
        usable.append(program.until(ready))
        first.append(program.chunks[0][0])
        program.quiet(0.7)
        took = program.end(leave)
        if took is not None:
            left.append(took)
    return {
        "first_byte_s": median(first),
        "usable_s": median(usable),
        "usable_worst_s": max(usable),
        "quit_s": median(left) if left else None,
    }


def starts(w: World, repeat: int) -> Figures:
    """With the engine running, and without one."""
    running = start(lambda: ours(w), READY, "q", repeat)

    def without() -> Program:
        w.stop()
        return ours(w)

    stopped = start(without, READY, "q", repeat)
    wait(w.learned, 120)
    alone = [engine_alone(w) for _ in range(repeat)]
    return {
        "engine running": running,
        "engine not running": stopped,
        "engine alone": {"usable_s": median(alone)},
    }


def engine_alone(w: World) -> float:
    """Seconds from nothing to an engine that answers, without a screen beside it."""
    w.stop()
    begun = time.perf_counter()
    w.start()
    return time.perf_counter() - begun


def cursor(text: str) -> object:
    """The line that the cursor of the first table is in."""
    return next((y for y, line in enumerate(text.split("\n")) if line[1:2] == "▌"), None)


def idle(w: World, _: int) -> Figures:
    """Nothing happens: bytes, CPU and memory."""
    program = ours(w, "--view", "pods")
    program.until(READY)
    program.quiet(1.5)
    found = program.span(20)
    keys = latency(keys_cost(program, ["j", "k"] * 25, 0.15, cursor))
    found |= program.memory() | keys
    program.end("q")
    return found


def busy(w: World, _: int) -> Figures:
    """Keys while a pod trains and a 1 kHz log follows."""
    with w.changing(20), w.training():
        program = ours(w, "--view", "runs")
        program.until(r"INFO worker: step")
        program.quiet(0.1, 2)
        found = latency(keys_cost(program, ["j", "k"] * 25, 0.3, cursor))
        found |= program.memory()
        program.end("")
    return found


def dashboard(w: World, _: int) -> Figures:
    """A pod trains, 20 rows change, a 1 kHz log follows."""
    found: Figures = {}
    with w.changing(20), w.training():
        for name, variables in (
            ("local, 4 Hz", {}),
            ("SSH, 2 Hz", {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}),
        ):
            program = ours(w, "--view", "runs", **variables)
            program.until(r"INFO worker: step")
            program.quiet(0.1, 3)
            found[name] = program.span(15) | program.memory()
            program.end("")
    return found


def save(w: World, repeat: int) -> Figures:
    """From `ctrl+s` in the editor to the first point of the new curve."""
    program = ours(w, "--view", "pods")
    program.until(READY)
    program.quiet(1.0)
    program.press("e")
    program.quiet(0.5)
    took: list[float] = []
    for count in range(repeat):
        number = int(w.call("pods.get", pod="gardener")["last_training"] or 0)
        # A comment would train nothing: one more episode.
        program.press("\x07")
        program.quiet(0.3)
        program.press("9\r")
        program.quiet(0.3)
        program.press(f"\x1b[F{BACKSPACE}{count % 7 + 3}")
        program.quiet(1.5)
        program.look()
        at = program.press("\x13")
        took.append(program.until(rf"training {number + 1}\b") - at)
        wait(w.learned, 60)
        program.quiet(1.0)
    program.end("")
    return {"first_point_s": median(took), "worst_s": max(took)}


def big_log(w: World, _: int) -> Figures:
    """A log of a million lines: to paint, to the first hit of a search, and memory."""
    w.million()
    program = ours(w, "--view", "runs")
    program.until(r"127\.0\.0\.1:\d+")
    program.quiet(1.5)
    program.look()
    at = program.press("L")
    found: Figures = {"open_s": program.until(r"Log of run.*(?s:.)*0999999 INFO") - at}
    program.quiet(1.0)
    program.press("g/")  # from the first line on
    program.quiet(0.5)
    program.press("needle05000[0-9]+")
    program.quiet(0.5)
    program.look()
    at = program.press("\r")
    found["search_s"] = program.until(r"0500000 INFO") - at
    program.quiet(1.0)
    found |= program.memory()
    program.end("")
    return found


def chart(_: World, __: int) -> Figures:
    """CPU of a frame of a chart of 10,000 points, by `chart.py`."""
    command = [sys.executable, str(HERE / "chart.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


SCENES: dict[str, Callable[[World, int], Figures]] = {
    "start": starts,
    "idle": idle,
    "busy": busy,
    "dashboard": dashboard,
    "save": save,
    "log": big_log,
    "chart": chart,
}


def peers(folder: Path | None, log: Path) -> list[Peer]:
    """Those that are installed."""

    def at(name: str, program: str) -> str:
        return str(folder / name / "bin" / program) if folder else ""

    hello = (
        "from textual.app import App\nfrom textual.widgets import Label\n"
        "class Hello(App):\n    BINDINGS = [('q', 'quit', '')]\n"
        "    def compose(self): yield Label('hello, world')\nHello().run()"
    )
    known = [
        Peer(
            "hello world of Textual", [sys.executable, "-c", hello], "hello, world", ("j", "k"), "q"
        ),
        Peer("harlequin", [at("harlequin", "harlequin")], "Query Editor", (UP, DOWN), "\x11"),
        Peer("posting", [at("posting", "posting")], "(?i)send", ("\t", "\t"), "\x03"),
        Peer("toolong", [at("toolong", "tl"), str(log)], r"needle", (DOWN, UP), "\x03"),
        Peer("htop", ["htop"], r"PID", (DOWN, UP), "q"),
        Peer("btop", ["btop", "--utf-force"], r"proc|Pid", (DOWN, UP), "q"),
    ]
    return [peer for peer in known if shutil.which(peer.command[0])]


def measure_peer(peer: Peer, base: Path, repeat: int) -> Figures:
    """Start, idle, keys and memory of another program."""
    home = base / f"home-{peer.name}"
    home.mkdir(exist_ok=True)
    env = environment(home)

    def make() -> Program:
        return Program(peer.command, SIZE, env)

    found = start(make, peer.ready, peer.leave, repeat)
    program = make()
    program.until(peer.ready)
    program.quiet(1.5, 4)
    found |= program.span(10)
    found |= latency(keys_cost(program, list(peer.keys) * 25, 0.15)) | program.memory()
    program.end(peer.leave)
    return found


def conditions() -> Figures:
    """What the figures depend on."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "cpu": cpu[1] if cpu else platform.machine(),
        "load before": [round(item, 2) for item in os.getloadavg()],
        "python": platform.python_version(),
        "textual": version("textual"),
        "system": f"{platform.system()} {platform.machine()}",
        "terminal": f"{SIZE[0]}x{SIZE[1]}, truecolor",
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", choices=[*SCENES, "peers"])
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    wanted = options.only or [*SCENES, "peers"]
    figures: Figures = {"conditions": conditions()}
    base = Path(tempfile.mkdtemp(prefix="bench-terminal-"))
    with world(base) as w:
        w.samples()
        for name in wanted:
            if name in SCENES:
                figures[name] = SCENES[name](w, options.repeat)
                print(f"{name}: {json.dumps(figures[name])}", flush=True)
        if "peers" in wanted:
            w.stop()
            log = base / "million.log"
            with log.open("w") as file:
                file.writelines(
                    f"{n:07d} INFO a line, needle{n:07d} {'.' * 66}\n" for n in range(1_000_000)
                )
            figures["peers"] = {}
            for peer in peers(options.peers, log):
                try:
                    figures["peers"][peer.name] = measure_peer(peer, base, min(3, options.repeat))
                except TimeoutError as error:
                    print(f"{peer.name}: {error}", file=sys.stderr)
                    continue
                print(f"{peer.name}: {json.dumps(figures['peers'][peer.name])}", flush=True)
    figures["conditions"]["load after"] = [round(item, 2) for item in os.getloadavg()]
    if options.out:
        kept = options.out / "terminal.json"
        if options.only and kept.exists():  # the other scenes stay as they were measured
            figures = json.loads(kept.read_text()) | figures
        write(options.out, figures)


if __name__ == "__main__":
    main()
