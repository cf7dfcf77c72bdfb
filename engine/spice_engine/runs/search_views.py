"""Searches and trials as they cross the doors."""

from __future__ import annotations

from collections.abc import Mapping

from spice_engine.protocol.searches import SearchInfo, TrialInfo
from spice_engine.runs.search_plan import Plan
from spice_engine.runs.search_record import Record
from spice_engine.store.searches import SearchRow, TrialRow


def trial_info_of(row: TrialRow) -> TrialInfo:
    """A stored trial."""
    return TrialInfo(
        search=row.search,
        number=row.number,
        state=row.state,
        params=dict(row.params),
        value=row.value,
        run=row.run,
        asked=row.asked,
        ended=row.ended,
        message=row.message,
        attempt=row.attempt,
        why=dict(row.why),
    )


def info_of_record(record: Record) -> SearchInfo:
    """A search under way."""
    return info_of(record.row, record.plan, record.counts, record.best)


def info_of(
    row: SearchRow, plan: Plan, counts: Mapping[str, int], best: TrialRow | None
) -> SearchInfo:
    """A stored search, with how many of its trials are in each state and the best one."""
    asked = plan.asked
    run = asked.run
    command = [] if run is None else [run.command] if isinstance(run.command, str) else run.command
    return SearchInfo(
        id=row.id,
        method=row.method,
        source=row.source,
        name=row.name,
        description=row.description,
        state=row.state,
        message=row.message,
        created=row.created,
        ended=row.ended,
        archived=row.archived,
        parameters=asked.parameters,
        command=list(command),
        machine_type="" if run is None else run.machine_type,
        pod=asked.pod,
        score=asked.score,
        trials=plan.trials,
        parallel=plan.parallel,
        metric=asked.metric,
        goal=asked.goal,
        aggregate=asked.aggregate,
        seed=plan.seed,
        sampler=asked.sampler,
        sampler_options=dict(asked.sampler_options),
        pruner=asked.pruner,
        pruner_options=dict(asked.pruner_options),
        counts={state: count for state, count in counts.items() if count},
        best=None if best is None else trial_info_of(best),
        run=run,
    )
