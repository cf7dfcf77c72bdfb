"""The operations on searches."""

from __future__ import annotations

import math

from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.searches import (
    AskTrial,
    ImportanceList,
    ListSearches,
    ListTrials,
    Reported,
    ReportTrial,
    SearchId,
    SearchInfo,
    SearchList,
    StartSearch,
    TellTrial,
    TrialInfo,
    TrialList,
)
from spice_engine.runs.searches import Searches

MOST_LISTED = 100_000
LONGEST_KEY = 200


def _check(number: int) -> int:
    if not 0 < number < 2**63:
        raise InvalidRequest(f"{number} is no search's number.")
    return number


def _check_run(number: int) -> int:
    if not 0 < number < 2**63:
        raise InvalidRequest(f"{number} is no run's number.")
    return number


@operation("searches.start", http="POST /api/v1/searches")
async def start(searches: Searches, request: StartSearch) -> SearchInfo:
    """Start a search over parameters; the answer comes when it is accepted."""
    return await searches.start(request)


@operation("searches.list", http="GET /api/v1/searches")
async def list_searches(searches: Searches, request: ListSearches) -> SearchList:
    """List the searches, oldest first."""
    return SearchList(await searches.list(archived=request.archived))


@operation("searches.get", http="GET /api/v1/searches/{id}")
async def get(searches: Searches, request: SearchId) -> SearchInfo:
    """Tell everything about one search but its trials."""
    return await searches.get(_check(request.id))


@operation("searches.trials", http="GET /api/v1/searches/{id}/trials")
async def trials(searches: Searches, request: ListTrials) -> TrialList:
    """List the trials of a search."""
    count = max(0, min(request.count, MOST_LISTED))
    first = max(1, min(request.first, MOST_LISTED + 1))
    return TrialList(await searches.trials(_check(request.id), first, count))


@operation("searches.importance", http="GET /api/v1/searches/{id}/importance")
async def importance(searches: Searches, request: SearchId) -> ImportanceList:
    """Tell what each parameter has to do with the values of a search."""
    return await searches.importance(_check(request.id))


@operation("searches.stop", http="POST /api/v1/searches/{id}/stop")
async def stop(searches: Searches, request: SearchId) -> SearchInfo:
    """End a search: its runs are stopped, and keep their outputs; no more are started."""
    return await searches.end(_check(request.id), kill=False)


@operation("searches.kill", http="POST /api/v1/searches/{id}/kill")
async def kill(searches: Searches, request: SearchId) -> SearchInfo:
    """End a search and its runs at once."""
    return await searches.end(_check(request.id), kill=True)


@operation("searches.archive", http="POST /api/v1/searches/{id}/archive")
async def archive(searches: Searches, request: SearchId) -> SearchInfo:
    """Take a search that is over out of the list."""
    return await searches.archive(_check(request.id))


@operation("searches.ask", http="POST /api/v1/searches/{id}/ask")
async def ask(searches: Searches, request: AskTrial) -> TrialInfo:
    """Ask for the next trial of a search whose trials are done by whoever asks."""
    if len(request.key) > LONGEST_KEY or not request.key.isprintable():
        raise InvalidRequest(f"key: up to {LONGEST_KEY} printable characters.")
    parent = None if request.parent is None else _check_run(request.parent)
    return await searches.ask(_check(request.id), request.key, parent)


@operation("searches.tell", http="POST /api/v1/searches/{id}/trials/{trial}/tell")
async def tell(searches: Searches, request: TellTrial) -> TrialInfo:
    """Tell what came out of a trial; it is stored when the answer comes."""
    return await searches.tell(
        _check(request.id), request.trial, request.state, request.value, request.message
    )


@operation("searches.report", http="POST /api/v1/searches/{id}/trials/{trial}/report")
async def report(searches: Searches, request: ReportTrial) -> Reported:
    """Report a value of a trial under way, and hear whether it is better ended."""
    if not 0 <= request.step <= 2**53 or math.isinf(request.value):
        raise InvalidRequest("step: a whole number from 0 on; value: a finite number.")
    number = _check(request.id)
    return Reported(await searches.report(number, request.trial, request.step, request.value))
