"""The operation table: one typed function an ability, registered once, reachable by every door.

    @operation("runs.stop", http="POST /api/v1/runs/{id}/stop")
    async def stop_run(runs: Runs, request: StopRun) -> RunInfo:
        '''Stop a run; its outputs are kept.'''

From the table come the socket's dispatch, the REST routes, the OpenAPI document and the names
the command line completes. The first parameter names the service the function works on (one
object of that class is bound when the engine is built), the second the request: a frozen
dataclass of `spice_engine.protocol`, or `Nothing`. A plain `def` runs at once on the loop and
must not block; an `async def` gets a task of its own.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast, get_type_hints

from spice_engine.errors import InternalError, InvalidRequest, NotFound

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Handler = Callable[[Any, Any], Any]
Method = Literal["GET", "POST", "PUT", "DELETE"]

_PATH = re.compile(r"^(GET|POST|PUT|DELETE) (/api/v1(?:/(?:[a-z][a-z0-9-]*|\{[a-z_]+\}))+)$")
_NAME = re.compile(r"^[a-z][a-z_]*(?:\.[a-z_]+)+$")


@dataclass(frozen=True)
class Operation:
    """One ability of the engine."""

    name: str
    summary: str
    method: Method
    path: str
    service: type[Any]
    request: type[Any]
    response: type[Any]
    handler: Handler
    is_async: bool

    @cached_property
    def request_adapter(self) -> TypeAdapter[Any]:
        """Validates what comes in."""
        from pydantic import TypeAdapter  # the first screen is drawn without it

        return TypeAdapter(self.request)

    @cached_property
    def response_adapter(self) -> TypeAdapter[Any]:
        """Turns what goes out into plain data."""
        from pydantic import TypeAdapter

        return TypeAdapter(self.response)

    @cached_property
    def request_fields(self) -> frozenset[str]:
        """Names of the request's parameters."""
        return frozenset(field.name for field in dataclasses.fields(self.request))

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """Names in braces, in order."""
        return tuple(re.findall(r"\{([a-z_]+)\}", self.path))

    def parse(self, params: Mapping[str, Any]) -> Any:
        """The request object.

        Raises:
            InvalidRequest: every field that is wrong, in one message.
        """
        from pydantic import ValidationError

        unknown = params.keys() - self.request_fields
        if unknown:
            known = ", ".join(sorted(self.request_fields)) or "none"
            raise InvalidRequest(
                f"{self.name}: there is no parameter {sorted(unknown)[0]!r}.",
                hint=f"Parameters: {known}.",
            )
        try:
            return self.request_adapter.validate_python(dict(params))
        except ValidationError as error:
            findings = [
                f"{'.'.join(str(part) for part in item['loc']) or 'request'}: "
                f"{item['msg'][:1].lower()}{item['msg'][1:]}"
                for item in error.errors(include_url=False, include_input=False)
            ]
            raise InvalidRequest(f"{self.name}: {'; '.join(findings)}.") from None

    def dump(self, result: Any) -> Any:
        """The result as plain data: maps, lists, text, numbers, bytes."""
        return self.response_adapter.dump_python(result, mode="python")


class OperationTable:
    """All operations, by name; names and routes are unique."""

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}
        self._routes: dict[tuple[str, str], str] = {}

    def __iter__(self) -> Iterator[Operation]:
        return iter(sorted(self._operations.values(), key=lambda operation: operation.name))

    def __len__(self) -> int:
        return len(self._operations)

    def __contains__(self, name: object) -> bool:
        return name in self._operations

    def get(self, name: str) -> Operation:
        """The operation of that name.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._operations[name]
        except KeyError:
            raise NotFound(f"there is no operation {name!r}.") from None

    def register(self, name: str, *, http: str) -> Callable[[Handler], Handler]:
        """Decorate the function that carries out operation `name`.

        Raises:
            ValueError: at import, for a name or route that is taken, malformed or untyped.
        """
        match = _PATH.match(http)
        if not _NAME.match(name) or match is None:
            raise ValueError(f"operation {name!r}: malformed name or route {http!r}")
        method, path = cast("Method", match[1]), match[2]
        route = (method, re.sub(r"\{[a-z_]+\}", "{}", path))
        if name in self._operations:
            raise ValueError(f"operation {name!r} is registered twice")
        if route in self._routes:
            raise ValueError(f"operation {name!r}: {http} belongs to {self._routes[route]!r}")

        def add(handler: Handler) -> Handler:
            hints = get_type_hints(handler)
            parameters = list(inspect.signature(handler).parameters)
            if len(parameters) != 2 or not {*parameters, "return"} <= hints.keys():
                raise ValueError(
                    f"operation {name!r} is not a typed (service, request) -> response"
                )
            doc = inspect.getdoc(handler) or ""
            if not doc:
                raise ValueError(f"operation {name!r} has no docstring")
            operation = Operation(
                name=name,
                summary=doc,
                method=method,
                path=path,
                service=hints[parameters[0]],
                request=hints[parameters[1]],
                response=hints["return"],
                handler=handler,
                is_async=inspect.iscoroutinefunction(handler),
            )
            missing = set(operation.path_parameters) - operation.request_fields
            if missing:
                raise ValueError(f"operation {name!r}: no field for {', '.join(sorted(missing))}")
            self._operations[name] = operation
            self._routes[route] = name
            return handler

        return add


TABLE = OperationTable()
"""The engine's own table; tests make their own."""


def operation(name: str, *, http: str) -> Callable[[Handler], Handler]:
    """Register a function in the engine's table; see `OperationTable.register`."""
    return TABLE.register(name, http=http)


class Dispatcher:
    """Calls operations on the services of one engine."""

    def __init__(self, table: OperationTable, services: Iterable[object]) -> None:
        self._table = table
        self._services: dict[type[Any], object] = {type(service): service for service in services}
        for item in table:
            if item.service not in self._services:
                raise ValueError(f"operation {item.name!r}: no service {item.service.__name__}")

    @property
    def table(self) -> OperationTable:
        """The operations it can call."""
        return self._table

    def begin(self, name: str, params: Mapping[str, Any]) -> tuple[Operation, Any]:
        """Start a call: the plain result of a `def`, or the coroutine of an `async def`.

        The caller awaits the coroutine and then applies `Operation.dump`; a plain result is
        dumped already.

        Raises:
            SpiceError: of the request's form, or whatever a plain handler raises.
        """
        item = self._table.get(name)
        request = item.parse(params)
        outcome = item.handler(self._services[item.service], request)
        return item, outcome if item.is_async else item.dump(outcome)

    async def call(self, name: str, params: Mapping[str, Any]) -> Any:
        """One call from start to plain result."""
        item, outcome = self.begin(name, params)
        if item.is_async:
            outcome = item.dump(await cast("Awaitable[Any]", outcome))
        return outcome


def internal_error(error: BaseException) -> InternalError:
    """What a caller is told when one of our own defects surfaced."""
    return InternalError(
        f"the engine failed at this request ({type(error).__name__}).",
        hint="The engine's log holds the details: spice-tui engine logs.",
    )
