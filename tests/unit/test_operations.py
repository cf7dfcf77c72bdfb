"""The operation table: what it refuses at import, and how calls are dispatched."""

from dataclasses import dataclass, field

import pytest

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.operations import Dispatcher, OperationTable
from spice_engine.protocol.engine import Nothing


class Counter:
    def __init__(self) -> None:
        self.value = 0


@dataclass(frozen=True)
class Add:
    amount: int
    note: str = ""
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Total:
    total: int


@pytest.fixture
def table() -> OperationTable:
    table = OperationTable()

    @table.register("counter.add", http="POST /api/v1/counter/{amount}")
    async def add(counter: Counter, request: Add) -> Total:
        """Add to it."""
        counter.value += request.amount
        return Total(counter.value)

    @table.register("counter.get", http="GET /api/v1/counter")
    def get(counter: Counter, request: Nothing) -> Total:
        """Read it."""
        return Total(counter.value)

    return table


async def test_calls_reach_the_service_and_answer_plain_data(table: OperationTable):
    dispatcher = Dispatcher(table, [Counter()])
    assert await dispatcher.call("counter.add", {"amount": 2}) == {"total": 2}
    assert await dispatcher.call("counter.add", {"amount": "3"}) == {"total": 5}
    assert await dispatcher.call("counter.get", {}) == {"total": 5}


async def test_a_wrong_request_names_every_wrong_field(table: OperationTable):
    dispatcher = Dispatcher(table, [Counter()])
    with pytest.raises(InvalidRequest) as caught:
        await dispatcher.call("counter.add", {"amount": "many", "tags": 5})
    assert "amount" in caught.value.message
    assert "tags" in caught.value.message
    with pytest.raises(InvalidRequest, match="wrong"):
        await dispatcher.call("counter.add", {"amount": 1, "wrong": 1})
    with pytest.raises(NotFound, match=r"counter\.subtract"):
        await dispatcher.call("counter.subtract", {})


def test_collisions_and_untyped_functions_are_refused_at_import(table: OperationTable):
    def fine(counter: Counter, request: Add) -> Total:
        """Fine."""
        return Total(0)

    def untyped(counter, request):
        """No types."""

    def silent(counter: Counter, request: Add) -> Total:
        return Total(0)

    with pytest.raises(ValueError, match="twice"):
        table.register("counter.add", http="POST /api/v1/other")(fine)
    with pytest.raises(ValueError, match="belongs to"):
        table.register("counter.plus", http="POST /api/v1/counter/{note}")(fine)
    with pytest.raises(ValueError, match="malformed"):
        table.register("counter.plus", http="POST /elsewhere")(fine)
    with pytest.raises(ValueError, match="typed"):
        table.register("counter.plus", http="POST /api/v1/plus")(untyped)
    with pytest.raises(ValueError, match="docstring"):
        table.register("counter.plus", http="POST /api/v1/plus")(silent)
    with pytest.raises(ValueError, match="no field"):
        table.register("counter.plus", http="POST /api/v1/plus/{missing}")(fine)


def test_a_missing_service_is_noticed_when_the_engine_is_built(table: OperationTable):
    with pytest.raises(ValueError, match="Counter"):
        Dispatcher(table, [])
