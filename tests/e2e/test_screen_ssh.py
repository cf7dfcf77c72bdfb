"""Over a real sshd: edit, train, resize, lose the link, come back and find everything as it was."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import EngineFixture, wait_for
from tests.e2e.screen_process import PROGRAM, attached, settle, trained
from tests.tui.pty_terminal import PtyTerminal

pytestmark = pytest.mark.e2e

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Server:
    """A server of this user's on loopback, and the key that opens it."""

    port: int
    folder: Path

    def client(self, command: str, size: tuple[int, int] = (120, 40)) -> PtyTerminal:
        """`ssh` with that command, on a terminal."""
        options = {
            "IdentityFile": self.folder / "user",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.folder / "known",
            "StrictHostKeyChecking": "no",
            "LogLevel": "ERROR",
        }
        flags = [flag for name, value in options.items() for flag in ("-o", f"{name}={value}")]
        target = f"{getpass.getuser()}@127.0.0.1"
        return PtyTerminal(
            [
                shutil.which("ssh") or "ssh",
                "-F",
                os.devnull,
                *flags,
                "-p",
                str(self.port),
                "-tt",
                target,
                command,
            ],
            {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TERM": "xterm-256color"},
            controlling=True,
            size=size,
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """sshd with a throw-away host key that lets a throw-away user key in."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("openssh-server is not installed")
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of root insists on it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\n"
        f"HostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/user.pub\n"
        f"PidFile {folder}/pid\n"
        "StrictModes no\n"
        "PasswordAuthentication no\n"
        "PermitRootLogin yes\n"
        "UsePAM no\n"
    )
    log = folder / "log"
    process = subprocess.Popen([SSHD, "-D", "-f", str(config), "-E", str(log)])
    try:
        wait_for(lambda: "listening" in log.read_text().lower() if log.exists() else False, "sshd")
        yield Server(port, folder)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def far_screen(server: Server, engine: EngineFixture) -> Iterator[PtyTerminal]:
    """The screen, started over ssh."""
    root = engine.location.root
    variables = f"XDG_STATE_HOME={os.environ['XDG_STATE_HOME']} XDG_CONFIG_HOME={root.parent}/cfg"
    terminal = server.client(f"env {variables} LANG=C.UTF-8 {PROGRAM} -C {root}")
    try:
        attached(terminal, engine)
        terminal.shows("gardener.yaml")
        settle(terminal)
        yield terminal
    finally:
        terminal.close()


def test_a_lost_link_loses_nothing(engine: EngineFixture, server: Server) -> None:
    engine.start()
    engine.call("samples.add", name="samples/gardener")
    trained(engine)
    pid = engine.pid
    manifest = engine.location.root / "spicepods" / "gardener.yaml"
    before = manifest.read_text()
    with far_screen(server, engine) as terminal:
        terminal.press("e")
        settle(terminal)
        terminal.press("# typed far away ")
        terminal.shows("modified")
        terminal.resize(100, 30)
        terminal.shows("# typed far away")
        settle(terminal)
        drafts = Path(os.environ["XDG_STATE_HOME"]) / "spice-tui" / "drafts"
        wait_for(lambda: list(drafts.rglob("gardener-*.json")), "the draft on disk")
        engine.call("pods.train", pod="gardener")
        terminal.process.kill()
        terminal.process.wait()
    wait_for(lambda: not screens_on(engine), "the screen to notice")
    assert engine.pid == pid
    assert manifest.read_text() == before
    trained(engine)
    with far_screen(server, engine) as terminal:
        terminal.shows("draft")  # it is offered, and the text on disk is what it was
        assert "training 2" in terminal.text()
        assert engine.pid == pid
        os.kill(terminal.process.pid, 9)
    wait_for(lambda: not screens_on(engine), "the second screen to notice")


def test_what_was_on_show_is_on_show_again(engine: EngineFixture, server: Server) -> None:
    engine.start()
    engine.call("samples.add", name="samples/gardener")
    trained(engine)
    with far_screen(server, engine) as terminal:
        terminal.press("7")
        settle(terminal)
        assert "Log" in terminal.screen.display[1]
        terminal.process.kill()
        terminal.process.wait()
    wait_for(lambda: not screens_on(engine), "the screen to notice")
    root = engine.location.root
    variables = f"XDG_STATE_HOME={os.environ['XDG_STATE_HOME']} XDG_CONFIG_HOME={root.parent}/cfg"
    terminal = server.client(f"env {variables} LANG=C.UTF-8 {PROGRAM} -C {root}")
    try:
        attached(terminal, engine)
        terminal.until(lambda: "Logs" in terminal.screen.display[1], "the view of before")
    finally:
        terminal.close()


def screens_on(engine: EngineFixture) -> list[str]:
    """Processes that are screens on the engine's folder."""
    wanted = ["-C", str(engine.location.root)]
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if any(word.endswith("/spice-tui") for word in words[:2]) and wanted[1] in words:
                found.append(path.parent.name)
    return found
