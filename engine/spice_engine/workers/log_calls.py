"""What a child does with logs: tell where lines begin, and find those that match."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from spice_engine.store.log_lines import index_lines
from spice_engine.store.log_matcher import Matcher
from spice_engine.store.log_search import search
from spice_engine.workers.child import Report


def index_log(params: dict[str, Any], _: Report) -> dict[str, Any]:
    """Where every so many lines of the log at `path` begin, from `line` at `offset` on."""
    return asdict(index_lines(Path(params["path"]), params["line"], params["offset"]))


def search_log(params: dict[str, Any], report: Report) -> dict[str, Any]:
    """Lines of the log at `path` that match `pattern`.

    Raises:
        InvalidRequest: the pattern is none.
    """
    matcher = Matcher(
        params["pattern"],
        regex=params["regex"],
        ignore_case=params["ignore_case"],
        invert=params["invert"],
    )
    return asdict(
        search(
            Path(params["path"]),
            matcher,
            params["offset"],
            backwards=params["backwards"],
            limit=params["limit"],
            check=report.check,
        )
    )
