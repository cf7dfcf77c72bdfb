"""The engine's client: a blocking one for the command line, an asyncio one for the screens.

Both speak the frames of `spice_engine.protocol` over the app folder's Unix socket. Errors of
the engine come back as the same classes the engine raised.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from spice_engine.errors import (
    DeadlineExceeded,
    EngineUnavailable,
    IncompatibleVersion,
    InvalidRequest,
    ProtocolError,
    SpiceError,
    revive,
)
from spice_engine.protocol import frames
from spice_engine.protocol.location import Location
from spice_engine.protocol.messages import PROTOCOL_VERSION, Kind
from spice_engine.records import record

if TYPE_CHECKING:
    from typing import Self

OLDEST_ENGINE = 1
"""The oldest protocol of an engine that this client can work with."""


@record
class Event:
    """What a subscription delivers; `first` and `last` are set for gaps only."""

    kind: Literal["snapshot", "delta", "gap", "end"]
    data: Any
    sequence: int = 0
    first: int = 0
    last: int = 0


def event_of(message: list[Any]) -> Event:
    """A message of a subscription as an event."""
    match message:
        case [Kind.SNAPSHOT, _, int(sequence), data]:
            return Event("snapshot", data, sequence)
        case [Kind.DELTA, _, int(sequence), data]:
            return Event("delta", data, sequence)
        case [Kind.GAP, _, int(first), int(last)]:
            return Event("gap", None, 0, first, last)
        case [Kind.END, _, reason]:
            return Event("end", reason)
        case _:
            raise ProtocolError("the engine sent an event of no known form.")


def error_of(data: Mapping[str, Any]) -> SpiceError:
    """The error an engine sent; one that makes no sense is a `ProtocolError` itself."""
    try:
        return revive(data)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return ProtocolError("the engine sent an error of no known form.")


def hello(name: str) -> bytes:
    """The first frame of a client."""
    greeting = {"protocol": PROTOCOL_VERSION, "client": name, "capabilities": []}
    return frames.encode([Kind.HELLO, greeting])


@record
class Welcome:
    """What the engine said of itself; `started` (Unix seconds) tells one from its successor."""

    protocol: int
    engine: str
    pid: int
    started: float
    operations: frozenset[str]
    topics: tuple[str, ...]


def welcome_of(message: Any) -> Welcome:
    """The engine's first message.

    Raises:
        IncompatibleVersion: the engine is too old for this client.
        SpiceError: the engine refused, with its reason.
    """
    match message:
        case [Kind.WELCOME, {"protocol": int(protocol), "engine": str(engine), **rest}]:
            if protocol < OLDEST_ENGINE:
                raise IncompatibleVersion(
                    f"the engine of this folder ({engine}) is older than this program can use.",
                    hint="Restart it: spice-tui engine restart.",
                )
            pid, started = rest.get("pid", 0), rest.get("started", 0.0)
            return Welcome(
                protocol,
                engine,
                pid if isinstance(pid, int) else 0,
                float(started) if isinstance(started, int | float) else 0.0,
                frozenset(_texts(rest.get("operations"))),
                tuple(_texts(rest.get("topics"))),
            )
        case [Kind.ERROR, _, {**error}]:
            raise error_of(cast("Mapping[str, Any]", error))
        case _:
            raise ProtocolError("what answers on the engine's socket is not an engine.")


def _texts(items: object) -> list[str]:
    found = cast("list[object]", items) if isinstance(items, list) else []
    return [item for item in found if isinstance(item, str)]


def check_operation(welcome: Welcome, operation: str) -> None:
    """Say plainly that an older engine lacks an ability of this newer client.

    Raises:
        IncompatibleVersion: the engine does not have it.
    """
    if operation not in welcome.operations:
        raise IncompatibleVersion(
            f"the running engine ({welcome.engine}) has no operation {operation!r}.",
            hint="It is of another version: spice-tui engine restart.",
        )


class Client:
    """A blocking connection: one call at a time. For the command line; no asyncio is imported."""

    def __init__(self, location: Location, *, name: str = "cli", timeout: float = 60.0) -> None:
        """Connect and greet.

        Raises:
            EngineUnavailable: no engine listens, or it does not answer.
        """
        self._parser = frames.FrameParser()
        self._ready: list[Any] = []
        self._next = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(location.socket))
            # An engine that hung up at once has said why; that is read below.
            with contextlib.suppress(BrokenPipeError):
                self._socket.sendall(hello(name))
        except (FileNotFoundError, ConnectionRefusedError):
            self._socket.close()
            raise EngineUnavailable(
                f"no engine runs on {location.root}.", hint="Start one: spice-tui engine start."
            ) from None
        except OSError as error:
            self._socket.close()
            raise EngineUnavailable(
                f"the engine of {location.root} cannot be reached: {error.strerror or error}."
            ) from error
        try:
            self.welcome = welcome_of(self._receive())
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _send(self, message: list[Any]) -> None:
        try:
            self._socket.sendall(frames.encode(message))
        except ProtocolError as error:
            if isinstance(fault := error.__cause__, UnicodeEncodeError):
                shown = fault.object[:80].encode("utf-8", "backslashreplace").decode()
                raise InvalidRequest(f"{shown!r} is no text of UTF-8.") from error
            raise
        except OSError as error:
            raise EngineUnavailable(f"the connection broke: {error.strerror or error}.") from error

    def _receive(self) -> Any:
        while not self._ready:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise DeadlineExceeded("the engine did not answer in time.") from None
            except OSError as error:
                raise EngineUnavailable(f"the connection broke: {error.strerror}.") from error
            if not data:
                raise EngineUnavailable("the engine closed the connection.")
            self._ready.extend(self._parser.feed(data))
        return self._ready.pop(0)

    def call(
        self, operation: str, params: Mapping[str, Any] | None = None, *, timeout: float = 60.0
    ) -> Any:
        """The result of one operation, as plain data.

        Raises:
            SpiceError: what the engine answered, or that it did not.
        """
        check_operation(self.welcome, operation)
        self._next += 1
        id_ = self._next
        self._socket.settimeout(timeout)
        self._send([Kind.REQUEST, id_, operation, dict(params or {})])
        while True:
            match self._receive():
                case [Kind.RESPONSE, int(answered), result] if answered == id_:
                    return result
                case [Kind.ERROR, int(answered), {**error}] if answered in {0, id_}:
                    raise error_of(cast("Mapping[str, Any]", error))
                case _:
                    continue

    def follow(self, topic: str, *, timeout: float | None = None) -> Iterator[Event]:
        """Events of a topic, from its snapshot on, until its end or the caller's."""
        self._next += 1
        id_ = self._next
        self._socket.settimeout(timeout)
        self._send([Kind.SUBSCRIBE, id_, topic, {}])
        while True:
            match self._receive():
                case [Kind.ERROR, int(answered), {**error}] if answered in {0, id_}:
                    raise error_of(cast("Mapping[str, Any]", error))
                case [
                    Kind.SNAPSHOT | Kind.DELTA | Kind.GAP | Kind.END,
                    int(answered),
                    *_,
                ] as message if answered == id_:
                    event = event_of(cast("list[Any]", message))
                    yield event
                    if event.kind == "end":
                        return
                case _:
                    continue


def try_connect(location: Location, *, name: str = "cli") -> Client | None:
    """A client, or None where no engine runs."""
    try:
        return Client(location, name=name)
    except EngineUnavailable:
        return None


__all__ = ["Client", "Event", "SpiceError", "Welcome", "try_connect"]
