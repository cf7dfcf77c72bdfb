"""The experiments of tracking clients, which are projects under a number."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence

from spice_engine.errors import AlreadyExists, Conflict, InvalidRequest, NotFound
from spice_engine.runs import tracking_filter as filters
from spice_engine.runs.projects import Projects
from spice_engine.runs.tracking_checks import check_tags
from spice_engine.runs.tracking_filter import Clause, Order
from spice_engine.runs.tracking_pages import Page, check_count, offset_of, page_of, sorted_by
from spice_engine.store import experiments as table
from spice_engine.store.database import Database
from spice_engine.store.experiments import DEFAULT, DEFAULT_NAME, Experiment

MOST_RESULTS = 50_000


class Experiments:
    """The service behind a client's experiments."""

    def __init__(self, database: Database, projects: Projects) -> None:
        self._database = database
        self._projects = projects

    async def create(self, name: str, location: str, tags: Mapping[str, str]) -> int:
        """Make an experiment, and so a project, and give its number.

        Raises:
            InvalidRequest: its name, tags or place cannot be used.
            AlreadyExists: there is one of that name.
        """
        check_tags(tags)
        if location:
            raise InvalidRequest(
                f"artifacts cannot go to {location[:200]!r}: they are kept as outputs of the runs.",
                hint="Leave artifact_location out.",
            )
        if name == DEFAULT_NAME:
            raise _there(name, "")
        try:
            await self._projects.create(name)
        except Conflict:
            there = await self.named(name)
            raise _there(name, " in deleted state" if there.deleted is not None else "") from None
        made = await self.named(name)
        if tags:
            await self.set_tags(made.id, tags)
        return made.id

    async def get(self, number: int) -> Experiment:
        """One experiment.

        Raises:
            NotFound: there is none of that number.
        """
        return await self._database.read(lambda connection: table.get(connection, number))

    async def named(self, name: str) -> Experiment:
        """One experiment, by its name.

        Raises:
            NotFound: there is none.
        """
        found = await self._database.read(lambda connection: table.named(connection, name))
        if found is None:
            raise NotFound(f"Could not find experiment with name {name[:200]!r}")
        return found

    async def search(
        self,
        *,
        deleted: bool | None,
        filter_: str,
        order_by: Sequence[str],
        count: int,
        token: str,
    ) -> Page[Experiment]:
        """A page of those that a filter lets through; deleted ones, others, or (None) both.

        Raises:
            InvalidRequest: the filter, an order, the token or the count cannot be used.
        """
        check_count(count, MOST_RESULTS)
        clauses = filters.parse(filter_, filters.EXPERIMENTS)
        orders = [filters.parse_order(text, filters.EXPERIMENTS) for text in order_by]
        start = offset_of(token)

        def read(connection: sqlite3.Connection) -> Page[Experiment]:
            found = [
                one
                for one in table.list_all(connection)
                if deleted is None or deleted == (one.deleted is not None)
                if all(clause.holds(_value(one, clause)) for clause in clauses)
            ]
            return page_of(sorted_by(found, orders, _value), start, count)

        return await self._database.read(read)

    async def set_tags(self, number: int, tags: Mapping[str, str]) -> None:
        """Give an experiment tags.

        Raises:
            NotFound: there is none of that number.
            Conflict: it is deleted.
            InvalidRequest: a tag cannot be kept.
        """
        check_tags(tags)

        def change(connection: sqlite3.Connection) -> None:
            one = active(connection, number)
            table.set_tags(connection, number, {**one.tags, **tags}, time.time())

        await self._database.write(change)

    async def remove_tag(self, number: int, key: str) -> None:
        """Take a tag off an experiment.

        Raises:
            NotFound: there is no such experiment, or no such tag.
            Conflict: it is deleted.
        """

        def change(connection: sqlite3.Connection) -> None:
            one = active(connection, number)
            if key not in one.tags:
                raise NotFound(f"No tag with name: {key[:100]} in experiment with ID {number}")
            left = {name: value for name, value in one.tags.items() if name != key}
            table.set_tags(connection, number, left, time.time())

        await self._database.write(change)

    async def rename(self, number: int, name: str) -> None:
        """Give an experiment's project another name.

        Raises:
            NotFound: there is none of that number.
            Conflict: there is another of that name, or it is that of runs without a project.
            InvalidRequest: it cannot be a name.
        """
        await self._projects.edit(_own(await self.get(number)).project, new_name=name)

    async def delete(self, number: int) -> None:
        """Archive an experiment's project.

        Raises:
            NotFound: there is none of that number.
            Conflict: it is deleted already, or is that of runs without a project.
        """
        await self._projects.archive(_own(await self.get(number)).project, archived=True)

    async def restore(self, number: int) -> None:
        """Take back what `delete` did.

        Raises:
            NotFound: there is none of that number.
            Conflict: it is not deleted.
        """
        await self._projects.archive(_own(await self.get(number)).project, archived=False)


def active(connection: sqlite3.Connection, number: int) -> Experiment:
    """An experiment that takes something in.

    Raises:
        NotFound: there is none of that number.
        Conflict: it is deleted.
    """
    one = table.get(connection, number)
    if one.deleted is not None:
        raise Conflict(
            f"The experiment {one.name[:200]!r} must be in the 'active' state.",
            hint="Restore it first.",
        )
    return one


def _value(one: Experiment, asked: Clause | Order) -> object:
    if asked.name.kind == "tag":
        return one.tags.get(asked.name.key)
    match asked.name.key:
        case "name":
            return one.name
        case "experiment_id":
            return str(one.id)
        case "creation_time":
            return int(one.created * 1000)
        case _:
            return int(one.changed * 1000)


def _own(one: Experiment) -> Experiment:
    if one.id == DEFAULT:
        raise Conflict(f"{DEFAULT_NAME!r} holds the runs without a project, and stays as it is.")
    return one


def _there(name: str, state: str) -> AlreadyExists:
    return AlreadyExists(
        f"Experiment(name={name[:200]}) already exists{state}.",
        hint="Restore it, or take another name." if state else "",
    )
