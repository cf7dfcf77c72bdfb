"""Our models as a registry of MLflow's: its clients make versions of what runs left, and find them.

A version made so is one of ours, and every model of files is seen by such clients. A name may be
known before its first version. What a version is made of is the run's: a client fetches it there.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from spice_engine.errors import AlreadyExists, NotFound, NotSupported
from spice_engine.records import record
from spice_engine.runs import tracking_filter as filters
from spice_engine.runs.creator import creator
from spice_engine.runs.tracking_filter import Clause, Grammar, Order
from spice_engine.runs.tracking_models import model_uri
from spice_engine.runs.tracking_pages import Page, check_count, offset_of, page_of, sorted_by
from spice_engine.runs.tracking_views import artifact_uri
from spice_engine.serving import model_names as names
from spice_engine.store import models as table
from spice_engine.store import tracking as tracking_table
from spice_engine.store import tracking_inputs
from spice_engine.store.database import Database
from spice_engine.store.models import ModelRow, VersionRow

_KINDS: frozenset[filters.Kind] = frozenset({"attribute", "tag"})
NAMES = Grammar(_KINDS, frozenset({"name"}), frozenset(), {}, frozenset())
VERSIONS = Grammar(
    _KINDS,
    frozenset({"name", "run_id", "source_path"}),
    frozenset({"version_number"}),
    {"version": "version_number"},
    frozenset({"run_id"}),
)
MOST_RESULTS = 200_000
_SOURCE = re.compile(r"mlflow-artifacts:/+runs/(\d{1,18})(?:/(.*))?", re.DOTALL)
_LOGGED = re.compile(r"models:/(m-\w{1,100})")

Call = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Calls an operation of the engine's."""


@record
class Registered:
    """A version, and the id that clients know its run by; empty where it is of none."""

    row: VersionRow
    run: str

    @property
    def source(self) -> str:
        """Where a client finds its files: with its run, or nowhere."""
        root, *inner = self.row.resource.split("/")
        if self.row.run_id is None or self.row.files or root != "runs":
            return self.row.resource
        return "/".join((artifact_uri(self.row.run_id), *inner[1:]))


@record
class RegisteredModel:
    """A model with its versions, newest first; there may be none yet."""

    row: ModelRow
    versions: tuple[Registered, ...]


class ModelRegistry:
    """The service behind such a registry; `call` leads to the one behind our own models."""

    def __init__(self, database: Database, call: Call) -> None:
        self._database = database
        self._call = call

    async def reserve(self, name: str) -> RegisteredModel:
        """Let a name be known before its first version.

        Raises:
            AlreadyExists: it is known.
            InvalidRequest: it cannot name a model.
        """
        names.check_name(name)

        def change(connection: sqlite3.Connection) -> None:
            if not table.reserve(connection, name, time.time(), creator()):
                raise AlreadyExists(f"Registered Model (name={name}) already exists.")

        await self._database.write(change)
        return await self.get(name)

    async def get(self, name: str) -> RegisteredModel:
        """One model.

        Raises:
            NotFound: there is none.
        """
        found = await self._all(name)
        if not found:
            raise NotFound(f"Registered Model with name={name[:200]} not found")
        return found[0]

    async def version(self, name: str, version: str) -> Registered:
        """One version, by its number.

        Raises:
            NotFound: there is none.
        """
        for one in (await self.get(name)).versions:
            if version in {str(one.row.number), f"v{one.row.number}"}:
                return one
        raise NotFound(f"Model Version (name={name[:200]}, version={version[:100]}) not found")

    async def aliased(self, name: str, alias: str) -> Registered:
        """The version that an alias names.

        Raises:
            NotFound: there is none.
        """
        for one in (await self.get(name)).versions:
            if alias in one.row.aliases:
                return one
        raise NotFound(f"Registered model alias {alias[:100]} not found.")

    async def add(self, name: str, source: str, description: str) -> Registered:
        """Make the next version of what a run left.

        Raises:
            NotFound: there is no such run, file or logged model.
            NotSupported: the source is none of a run's here.
            SpiceError: as our own models refuse it.
        """
        if (logged := _LOGGED.fullmatch(source)) is not None:
            model = await self._database.read(
                lambda connection: tracking_inputs.get_model(connection, logged[1])
            )
            source = model_uri(model)
        found = _SOURCE.fullmatch(source)
        if found is None:
            raise NotSupported(
                f"a version cannot be made of {source[:200]!r}: here they are of what runs left.",
                hint="Log it to a run; or `spice-tui model create NAME PATH`.",
            )
        path = "/".join(filter(None, ("runs", found[1], (found[2] or "").strip("/"))))
        wanted = {"name": name, "resource": path, "description": description}
        made = await self._call("models.create", wanted)
        return await self.version(name, str(made["number"]))

    async def describe(self, name: str, version: str, text: str) -> Registered:
        """Replace a version's description."""
        number = f"v{(await self.version(name, version)).row.number}"
        wanted = {"name": name, "version": number, "description": text}
        await self._call("models.update_description", wanted)
        return await self.version(name, version)

    async def remove(self, name: str, version: str = "") -> None:
        """Remove a version, or the whole model."""
        if version:
            number = f"v{(await self.version(name, version)).row.number}"
            await self._call("models.remove", {"name": name, "version": number})
            return
        if (await self.get(name)).versions:
            await self._call("models.remove", {"name": name})
        await self._database.write(lambda connection: table.release(connection, name))

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias name a version; with an empty one it goes."""
        number = f"v{(await self.version(name, version)).row.number}" if version else ""
        wanted = {"name": name, "alias": alias, "version": number}
        await self._call("models.alias", wanted)

    async def search(
        self, filter_: str, order_by: Sequence[str], count: int, token: str
    ) -> Page[RegisteredModel]:
        """A page of the models that a filter lets through.

        Raises:
            InvalidRequest: the filter, an order, the token or the count cannot be used.
        """
        clauses, orders = _asked(filter_, order_by, count, NAMES)
        found = [
            one
            for one in await self._all()
            if all(clause.holds(_tagless(clause, one.row.name)) for clause in clauses)
        ]
        page = sorted_by(found, orders, lambda one, order: _tagless(order, one.row.name))
        return page_of(page, offset_of(token), count)

    async def search_versions(
        self, filter_: str, order_by: Sequence[str], count: int, token: str
    ) -> Page[Registered]:
        """A page of the versions of all models that a filter lets through.

        Raises:
            InvalidRequest: as for `search`.
        """
        clauses, orders = _asked(filter_, order_by, count, VERSIONS)
        found = [
            version
            for one in await self._all()
            for version in one.versions
            if all(clause.holds(_value(version, clause)) for clause in clauses)
        ]
        return page_of(sorted_by(found, orders, _value), offset_of(token), count)

    async def _all(self, name: str | None = None) -> list[RegisteredModel]:
        """All models, or the one of this name if there is one."""

        def read(connection: sqlite3.Connection) -> list[RegisteredModel]:
            rows = table.versions(connection, name)
            numbers = sorted({row.run_id for row in rows if row.run_id is not None})
            given = tracking_table.given(connection, numbers)
            versions: dict[str, list[Registered]] = {}
            for row in rows:
                number = row.run_id
                run = "" if number is None else given.get(number, tracking_table.uuid_of(number))
                versions.setdefault(row.model, []).append(Registered(row, run))
            return [
                RegisteredModel(row, tuple(versions.get(row.name, ())))
                for row in table.reserved(connection)
                if name is None or row.name == name
            ]

        return await self._database.read(read)


def _asked(
    filter_: str, order_by: Sequence[str], count: int, grammar: Grammar
) -> tuple[tuple[Clause, ...], list[Order]]:
    check_count(count, MOST_RESULTS)
    return filters.parse(filter_, grammar), [
        filters.parse_order(text, grammar) for text in order_by
    ]


def _tagless(asked: Clause | Order, value: object) -> object:
    """The value that is asked for. Nothing has a tag here: clients leave out their prompts by one
    that must not be so."""
    if asked.name.kind != "tag":
        return value
    return "" if isinstance(asked, Clause) and asked.sign == "!=" else None


def _value(one: Registered, asked: Clause | Order) -> object:
    if asked.name.kind == "tag":
        return _tagless(asked, None)
    match asked.name.key:
        case "name":
            return one.row.model
        case "run_id":
            return one.run or None
        case "source_path":
            return one.source
        case _:
            return one.row.number
