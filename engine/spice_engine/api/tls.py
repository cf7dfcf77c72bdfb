"""TLS of the public door: the pair of certificate and key, reloaded when its files change."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

from spice_engine.errors import InvalidSettings, Place, SpiceError

log = logging.getLogger(__name__)

POLL = 5.0
"""Seconds between looks at the files."""

Stamp = tuple[tuple[int, int, int], ...]


class TlsToolMissing(SpiceError):
    """No certificate can be made here."""

    code = "tls_tool_missing"
    exit_code = 3


class TlsPair:
    """A server context that always speaks with the newest good pair.

    A pair that cannot be used (half written, key of another certificate) is logged and the old
    one stays in use. Connections that are open keep the certificate they began with.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self._stamp = self._look()
        self._current = load_pair(cert, key)
        # Every handshake asks which context to use, so a new pair is one assignment: loading
        # into the live context could leave a new certificate beside an old key.
        self.context = load_pair(cert, key)
        self.context.sni_callback = self._choose
        self._task: asyncio.Task[None] | None = None

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._current

    def start(self, period: float = POLL) -> None:
        """Watch the files, on the running loop, until `stop`. `period` in seconds."""
        self._task = asyncio.get_running_loop().create_task(self._watch(period))

    async def stop(self) -> None:
        """End watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def reload(self) -> bool:
        """Take the files' pair if they changed; whether a new pair is in use."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._current = load_pair(self._cert, self._key)
        except InvalidSettings as error:
            log.error("the new TLS pair is not used, the old one stays: %s", error)
            return False
        log.info("the TLS pair of %s was reloaded", self._cert)
        return True

    def _look(self) -> Stamp:
        found: list[tuple[int, int, int]] = []
        for path in (self._cert, self._key):
            try:
                stat = path.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    async def _watch(self, period: float) -> None:
        while True:
            await asyncio.sleep(period)
            self.reload()


def load_pair(cert: Path, key: Path) -> ssl.SSLContext:
    """A server context (TLS 1.2 and newer) with this certificate chain and key, both PEM.

    Raises:
        InvalidSettings: a file is missing or unreadable, or the two don't belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for name, path in (("tls_cert", cert), ("tls_key", key)):
        if not os.access(path, os.R_OK):
            raise InvalidSettings(
                f"the {name} cannot be read.",
                hint="`spice-tui doctor --make-tls` makes a pair.",
                place=Place(str(path)),
            )
    try:
        # Without a password given, an encrypted key would ask for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        wrong = key if "KEY" in str(reason).upper() or "password" in str(error) else cert
        raise InvalidSettings(
            f"the TLS pair cannot be used: {str(reason).replace('_', ' ').lower()}.",
            hint="Both must be PEM, the key unencrypted and the one of the first certificate.",
            place=Place(str(wrong)),
        ) from error
    return context


def make_tls_pair(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed pair for this machine in `folder`: paths of certificate and key.

    An earlier pair of the same names is replaced. Takes the system's `openssl`.

    Raises:
        TlsToolMissing: there is no `openssl`, or it failed.
    """
    tool = shutil.which("openssl")
    if tool is None:
        raise TlsToolMissing(
            "there is no openssl program to make a certificate with.",
            hint="Install openssl, or set tls_cert and tls_key to a pair that you have.",
        )
    name = socket.gethostname() or "localhost"
    names = f"DNS:localhost,DNS:{name},IP:127.0.0.1,IP:::1"
    cert, key = folder / "tls-cert.pem", folder / "tls-key.pem"
    new_cert, new_key = folder / ".tls-cert.new", folder / ".tls-key.new"
    command = [tool, "req", "-x509", "-nodes", "-days", "825", "-subj", "/CN=localhost"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", f"subjectAltName={names}"]
    command += ["-keyout", str(new_key), "-out", str(new_cert)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False, umask=0o077
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise TlsToolMissing(f"openssl could not make a certificate: {lines[-1]}")
        new_key.replace(key)
        new_cert.replace(cert)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TlsToolMissing(f"no certificate could be made in {folder}: {error}.") from error
    finally:
        new_cert.unlink(missing_ok=True)
        new_key.unlink(missing_ok=True)
    return cert, key
