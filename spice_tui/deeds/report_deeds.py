"""One key writes a bug report: what was seen, versions, what the doctor finds, and no secrets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.errors import SpiceError, StorageError
from spice_engine.protocol.location import state_home
from spice_tui.base import Base
from spice_tui.models.redaction import redact
from spice_tui.terminal.crash import scrub

if TYPE_CHECKING:
    from spice_tui.models.stream_ring import StreamRing

LOG_LINES = 400
DOCTOR_SECONDS = 20.0


class ReportDeeds(Base):
    """Writes `reports/report-TIME.zip` into the state directory."""

    ring: StreamRing | None

    async def action_report(self) -> None:
        """Write a bug report and say where it is."""
        parts = {
            "about.txt": self._about(),
            "screen.txt": scrub(self.screen_text()),
            "world.json": json.dumps(redact(self._seen()), indent=1, default=str),
            "engine.log": scrub(await self._engine_log()),
        }
        parts["doctor.json"] = scrub(await _doctor())
        path = await asyncio.to_thread(_write, parts, self.ring)
        self.say(f"A bug report without secrets is in {path}.")

    def _about(self) -> str:
        from importlib.metadata import version

        able = self.abilities
        engine = self.world.engine
        lines = [
            f"spice-tui {version('spice-tui')}, textual {version('textual')}",
            f"Python {platform.python_version()}, {platform.platform()}",
            f"terminal {able.term} {self.size.width}x{self.size.height} {able.colours} "
            f"ssh={able.ssh} tmux={able.tmux} screen={able.screen} utf8={able.utf8}",
            f"engine {engine.version if engine else 'none'}, "
            f"connection {self.world.connection.state} {self.world.connection.message}",
        ]
        if engine is not None:
            lag = engine.loop_lag
            lines.append(f"loop lag p99 {lag.p99:.1f} ms, max {lag.max:.1f} ms")
        return scrub("\n".join(lines)) + "\n"

    def _seen(self) -> dict[str, Any]:
        """What the engine told last, without texts that are the person's own."""
        world = self.world
        return {
            "pods": {
                name: {
                    "state": pod.state,
                    "actions": len(pod.actions),
                    "fields": len(pod.fields),
                    "policy_version": pod.policy_version,
                    "problems": [f"{p.severity} {p.code} {p.line}" for p in pod.problems],
                }
                for name, pod in world.pods.items()
            },
            "runs": {
                number: {"state": run.state, "outcome": run.outcome, "exit_code": run.exit_code}
                for number, run in world.runs.items()
            },
            "trainings": {
                key: {"state": one.state, "algorithm": one.algorithm, "error": one.error}
                for key, one in world.trainings.items()
            },
        }

    async def _engine_log(self) -> str:
        try:
            size = (await self.ask("logs.read", source="engine", offset=0, limit=1))["size"]
            start = max(0, size - 65536)
            data = await self.ask("logs.read", source="engine", offset=start, limit=65536)
        except SpiceError as error:
            return f"The engine's log could not be read: {error}\n"
        lines = bytes(data["data"]).decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-LOG_LINES:]) + "\n"

    def screen_text(self) -> str:
        """The characters on the screen now."""
        strips = self.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


async def _doctor() -> str:
    """What the doctor finds on this machine, as JSON."""
    command = (sys.executable, "-m", "spice_tui.cli.main", "doctor", "--json")
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), DOCTOR_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return "The doctor did not answer in time.\n"
    return output.decode("utf-8", "replace")


def _write(parts: dict[str, str], ring: StreamRing | None) -> Path:
    """Write the report, readable by its owner alone.

    Raises:
        StorageError: the state directory cannot be written.
    """
    import zipfile
    from io import BytesIO

    folder = state_home() / "reports"
    path = folder / f"report-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.zip"
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
        if ring is not None:
            archive.writestr("stream.recording", ring.recorded())
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(buffer.getvalue())
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise StorageError(f"the report could not be written: {error.strerror}.") from error
    return path
