"""Runs, training runs, policies, references and values, on a real database in memory."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import NotFound
from spice_engine.store import policies, references, run_lists, runs, training, values
from spice_engine.store.migrate import load_migrations, migrate


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, Path("engine.db"), load_migrations("engine"))
        yield connection


def add_run(db: sqlite3.Connection, **changes: object) -> runs.RunRow:
    wanted: dict[str, object] = {
        "kind": "command",
        "command": ["echo", "hi"],
        "created": 100.0,
        "state": "machine_requested",
    }
    return runs.create(db, **{**wanted, **changes})  # type: ignore[arg-type]


def train(db: sqlite3.Connection, pod: str = "gardener") -> int:
    run = training.create_run(
        db, pod=pod, algorithm="auto", episodes_wanted=10, started=1.0, fingerprint="f"
    )
    return run.number


def save(db: sqlite3.Connection, number: int | None = None, *names: str) -> policies.PolicyRow:
    return policies.add(
        db,
        pod="gardener",
        object_hash=f"{number or 0:064x}",
        fingerprint="f",
        algorithm="linear",
        created=5.0,
        evaluation={"score": 3.5},
        training_number=number,
        aliases=names,
    )


class TestRuns:
    def test_a_run_comes_back_as_it_was_made(self, db: sqlite3.Connection) -> None:
        made = add_run(
            db,
            name="first",
            cwd="/home/ada",
            env={"A": "1"},
            limits={"memory": 2**30},
            project="p",
            labels=("b", "a"),
        )
        assert made == runs.get(db, made.id)
        assert made.command == ("echo", "hi")
        assert made.env == {"A": "1"}
        assert made.limits == {"memory": 2**30}
        assert made.labels == ("a", "b")
        assert (made.started, made.ended, made.exit_code, made.outcome) == (None,) * 4

    def test_an_id_is_never_given_out_twice(self, db: sqlite3.Connection) -> None:
        last = add_run(db).id
        db.execute("DELETE FROM runs WHERE id = ?", (last,))
        assert add_run(db).id > last

    def test_a_new_state_keeps_what_is_not_said(self, db: sqlite3.Connection) -> None:
        run = add_run(db).id
        runs.set_state(db, run, "running", started=101.0, message="up")
        done = runs.set_state(db, run, "complete", exit_code=0, outcome="ok", ended=105.0)
        assert (done.state, done.started, done.ended) == ("complete", 101.0, 105.0)
        assert (done.exit_code, done.outcome, done.message) == (0, "ok", "up")

    def test_active_are_those_not_in_a_final_state(self, db: sqlite3.Connection) -> None:
        states = ["running", "complete", "saving", "killed", "machine_requested", "stopped"]
        for state in states:
            add_run(db, state=state)
        assert [run.state for run in runs.active(db)] == ["running", "saving", "machine_requested"]

    def test_list_filters_and_pages(self, db: sqlite3.Connection) -> None:
        for number in range(6):
            add_run(
                db,
                state="running" if number % 2 else "complete",
                labels=["odd"] if number % 2 else ["even", "zero"],
                project="p" if number < 4 else None,
                kind="notebook" if number == 5 else "command",
            )
        assert [run.id for run in runs.list_newest(db, 2)] == [6, 5]

        def found(**chosen: Any) -> list[int]:
            return [run.id for run in run_lists.newest(db, run_lists.Filter(**chosen), 50)]

        assert found(before=5) == [4, 3, 2, 1]
        assert found(states=["running"]) == [6, 4, 2]
        assert found(labels=["zero", "odd"]) == [6, 5, 4, 3, 2, 1]
        assert found(labels=["odd"], project="p") == [4, 2]
        assert found(kinds=["notebook"]) == [6]
        assert found(states=["killed"]) == []

    def test_labels_are_a_set(self, db: sqlite3.Connection) -> None:
        run = add_run(db, labels=["a"]).id
        runs.add_labels(db, run, ["a", "b"])
        assert runs.get(db, run).labels == ("a", "b")
        assert runs.remove_labels(db, run, ["a", "zzz"]) == 1
        assert runs.get(db, run).labels == ("b",)

    def test_an_unknown_run_is_said(self, db: sqlite3.Connection) -> None:
        for call in (
            lambda: runs.get(db, 9),
            lambda: runs.set_state(db, 9, "running"),
            lambda: runs.add_labels(db, 9, ["x"]),
            lambda: runs.remove_labels(db, 9, ["x"]),
        ):
            with pytest.raises(NotFound, match="no run 9"):
                call()


class TestTraining:
    def test_numbers_count_per_pod_and_never_come_again(self, db: sqlite3.Connection) -> None:
        assert [train(db), train(db), train(db, "trader")] == [1, 2, 1]
        training.finish(db, "gardener", 2, state="complete", ended=2.0)
        training.prune(db, "gardener", keep=0)
        assert train(db) == 3

    def test_an_end_is_kept_with_its_evaluation(self, db: sqlite3.Connection) -> None:
        number = train(db)
        done = training.finish(
            db,
            "gardener",
            number,
            state="complete",
            ended=9.0,
            evaluation={"score": math.inf, "oracle": 2.0},
            policy_version=4,
            algorithm="linear",
        )
        assert done == training.get_run(db, "gardener", number)
        assert (done.state, done.ended, done.policy_version) == ("complete", 9.0, 4)
        assert done.evaluation == {"score": math.inf, "oracle": 2.0}
        assert done.algorithm == "linear"

    def test_episodes_come_in_order_and_a_repeated_one_replaces(
        self, db: sqlite3.Connection
    ) -> None:
        number = train(db)
        first = {"pod": "gardener", "number": number, "started": 1.0, "ended": 2.0}
        ids = [
            training.add_episode(db, **first, episode=episode, score=score, actions={"on": 3})
            for episode, score in ((1, 1.5), (2, math.nan), (3, None))
        ]
        again = training.add_episode(db, **first, episode=1, score=2.5, detail={"fold": 1})
        assert again == ids[0]
        rows = training.list_episodes(db, "gardener", number)
        assert [row.episode for row in rows] == [1, 2, 3]
        assert rows[0].score == 2.5
        assert rows[0].detail == {"fold": 1}
        assert rows[1].actions == {"on": 3}
        assert math.isnan(rows[1].score)
        assert math.isnan(rows[2].score)
        after = training.list_episodes(db, "gardener", number, after=1, count=1)
        assert [row.episode for row in after] == [2]

    def test_an_episode_of_no_run_is_refused(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(NotFound, match="no training run 7"):
            training.add_episode(
                db, pod="gardener", number=7, episode=1, started=1, ended=2, score=0
            )

    def test_what_a_dead_engine_left_running_is_interrupted(self, db: sqlite3.Connection) -> None:
        train(db)
        other = train(db, "trader")
        training.finish(db, "trader", other, state="complete", ended=2.0)
        marked = training.mark_interrupted(db, 50.0)
        assert [(run.pod, run.state, run.ended) for run in marked] == [
            ("gardener", "interrupted", 50.0)
        ]
        assert training.get_run(db, "trader", other).state == "complete"
        assert training.mark_interrupted(db, 60.0) == ()

    def test_pruning_keeps_the_newest_the_running_and_the_promoted(
        self, db: sqlite3.Connection
    ) -> None:
        db.execute("PRAGMA foreign_keys=ON")
        for _ in range(10):
            number = train(db)
            training.add_episode(
                db, pod="gardener", number=number, episode=1, started=1, ended=2, score=0
            )
            if number != 2:
                training.finish(db, "gardener", number, state="complete", ended=2.0)
        save(db, 1)
        save(db, 4, "best")
        assert training.prune(db, "gardener", keep=3) == (1, 3, 5, 6, 7)
        left = [run.number for run in training.list_runs(db, "gardener")]
        assert left == [10, 9, 8, 4, 2]
        assert training.list_episodes(db, "gardener", 1) == ()
        assert len(training.list_episodes(db, "gardener", 4)) == 1


class TestPolicies:
    def test_versions_count_up_and_aliases_move(self, db: sqlite3.Connection) -> None:
        number = train(db)
        first = save(db, number, "latest", "best")
        second = save(db, None, "latest")
        assert (first.version, second.version) == (1, 2)
        assert first.aliases == ("best", "latest")
        assert policies.get(db, "gardener", 1).aliases == ("best",)
        assert policies.aliases(db, "gardener") == {"best": 1, "latest": 2}
        assert policies.get_by_alias(db, "gardener", "latest") == second
        assert policies.get_by_alias(db, "gardener", "nothing") is None
        assert [row.version for row in policies.list_versions(db, "gardener")] == [2, 1]
        assert training.get_run(db, "gardener", number).policy_version == 1
        assert second.evaluation == {"score": 3.5}

    def test_an_alias_of_nothing_is_refused(self, db: sqlite3.Connection) -> None:
        with pytest.raises(NotFound, match="no policy version 3"):
            policies.set_alias(db, "gardener", "best", 3)
        assert policies.remove_alias(db, "gardener", "best") is False

    def test_a_policy_keeps_its_object(self, db: sqlite3.Connection) -> None:
        row = save(db, 1)
        assert references.referenced(db) == {row.object}
        assert references.of_owner(db, "policy:gardener:1") == (row.object,)
        assert references.drop_owner(db, "policy:gardener:1") == 1
        assert references.referenced(db) == frozenset()


def test_values_are_remembered(db: sqlite3.Connection) -> None:
    assert values.get(db, "port", 8000) == 8000
    values.put(db, "port", {"http": 8001})
    values.put(db, "port", {"http": 8002})
    assert values.get(db, "port") == {"http": 8002}
    assert values.remove(db, "port") is True
    assert values.remove(db, "port") is False
