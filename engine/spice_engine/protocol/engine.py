"""Requests and answers about the engine itself."""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from spice_engine.records import record


@record
class Nothing:
    """A request without parameters, or an answer without content."""


@record
class Pong:
    """The answer to a ping."""

    time: float


@record
class LoopLag:
    """How late the engine's loop was since it started, in milliseconds."""

    p50: float
    p99: float
    max: float
    samples: int


@record
class EngineStatus:
    """Who the engine is and how it does; times are Unix seconds, sizes bytes."""

    version: str
    protocol: int
    pid: int
    app_folder: str
    state_folder: str
    http: str
    started: float
    uptime: float
    clients: int
    subscriptions: int
    active_runs: int
    pods: int
    loop_lag: LoopLag
    draining: bool = False


@record
class StopEngine:
    """`runs`: what becomes of running runs; the default is the setting `on_shutdown`."""

    runs: Literal["leave", "stop"] | None = None


@record
class Accepted:
    """The wish was taken; what follows happens in the background."""

    message: str


@record
class SettingValue:
    """One setting, its value and where the value came from."""

    name: str
    value: Any
    source: str
    meaning: str


@record
class SettingsList:
    """All settings in force."""

    settings: list[SettingValue]


@record
class NamesOf:
    """Ask for names of a noun that begin with `prefix`."""

    noun: Literal[
        "pods",
        "runs",
        "models",
        "resources",
        "servers",
        "node_groups",
        "machine_types",
        "operations",
        "topics",
    ]
    prefix: str = ""


@record
class Names:
    """Names, for completion."""

    names: list[str]


@record
class Query:
    """A read-only SQL query over the store's tables."""

    sql: str
    limit: int = 1000


@record
class QueryResult:
    """Columns and rows; `truncated` when there were more than the limit."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool = False


@record
class Finding:
    """One thing the doctor looked at."""

    name: str
    status: Literal["ok", "warning", "missing"]
    detail: str
    advice: str = ""


@record
class Diagnosis:
    """Everything the doctor looked at."""

    findings: list[Finding] = field(default_factory=list[Finding])
