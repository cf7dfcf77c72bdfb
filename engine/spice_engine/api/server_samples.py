"""Figures of model servers as Prometheus families, and their predictors' own metrics as text."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from spice_engine.serving.directory import Served
from spice_engine.serving.figures import Figures, Histogram

PREFIX = "spice_server_"
MOST_LINES = 20_000
"""Lines of predictors' own metrics that are told; what is beyond them is left out."""
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+|Inf|NaN|inf|nan)"
_SAMPLE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{.*\}})? {_NUMBER}(?: -?[0-9.]+)?")
_NOTE = re.compile(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*)(?: .*)?")
_SUFFIXES = ("_total", "_bucket", "_count", "_sum", "_created", "_info")


def families(servers: Iterable[Served]) -> Iterator[Metric]:
    """Families of all servers: labels `server` and, for those of one replica, `replica`."""
    servers = list(servers)
    if not servers:
        return
    now = time.monotonic()
    shots = [(served, served.figures.snapshot(now)) for served in servers]
    label = ["server"]
    requests = CounterMetricFamily(
        f"{PREFIX}requests", "Answers by HTTP status; 499: hung up.", labels=["server", "status"]
    )
    retries = CounterMetricFamily(f"{PREFIX}retries", "Calls sent once more.", labels=label)
    in_flight = GaugeMetricFamily(f"{PREFIX}in_flight", "Calls in replicas.", labels=label)
    queued = GaugeMetricFamily(f"{PREFIX}queued", "Calls that wait.", labels=label)
    ready = GaugeMetricFamily(f"{PREFIX}replicas", "Replicas that take calls.", labels=label)
    version = GaugeMetricFamily(f"{PREFIX}version", "Version that runs.", labels=label)
    for served, shot in shots:
        name = [served.name]
        for status, count in shot.statuses.items():
            requests.add_metric([served.name, str(status)], count)
        retries.add_metric(name, shot.retries)
        in_flight.add_metric(name, shot.in_flight)
        queued.add_metric(name, shot.queued)
        version.add_metric(name, served.version)
        if served.replicas is not None:
            ready.add_metric(name, len(served.replicas()))
    yield from (requests, retries, in_flight, queued, ready, version)
    yield from _histograms([([served.name], served.figures) for served in servers], label)
    yield from _of_replicas(servers, now)


def _of_replicas(servers: Iterable[Served], now: float) -> Iterator[Metric]:
    labels = ["server", "replica"]
    found = [
        ([served.name, number], figures)
        for served in servers
        if served.replicas is not None
        for number, figures in served.replicas()
    ]
    requests = CounterMetricFamily(
        f"{PREFIX}replica_requests",
        "Answers of each ready replica by HTTP status.",
        labels=[*labels, "status"],
    )
    rate = GaugeMetricFamily(
        f"{PREFIX}replica_rate", "Answers per second over the last half minute.", labels=labels
    )
    for values, figures in found:
        for status, count in figures.statuses.items():
            requests.add_metric([*values, str(status)], count)
        rate.add_metric(values, figures.rate(now))
    yield from (requests, rate)
    seconds = HistogramMetricFamily(
        f"{PREFIX}replica_request_seconds", "Seconds from arrival to answer.", labels=labels
    )
    for values, figures in found:
        _fill(seconds, values, figures.latency())
    yield seconds


def _histograms(found: list[tuple[list[str], Figures]], labels: list[str]) -> Iterator[Metric]:
    for name, meaning, read in (
        ("request_seconds", "Seconds from arrival to answer.", Figures.latency),
        ("queue_seconds", "Seconds in the queue.", Figures.queue_time),
        ("service_seconds", "Seconds of work in the replica.", Figures.service_time),
        ("batch_size", "Items of a batch.", Figures.batch_sizes),
    ):
        family = HistogramMetricFamily(f"{PREFIX}{name}", meaning, labels=labels)
        for values, figures in found:
            _fill(family, values, read(figures))
        yield family


def _fill(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    buckets = [(f"{edge:.6g}", float(count)) for edge, count in histogram.buckets]
    buckets.append(("+Inf", float(histogram.count)))
    family.add_metric(labels, buckets, histogram.total)


class _Families(Collector):
    """The families of some servers, for a registry."""

    def __init__(self, servers: list[Served]) -> None:
        self._servers = servers

    def collect(self) -> Iterator[Metric]:
        return families(self._servers)


def render(served: Served) -> bytes:
    """All about one server as Prometheus text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families([served]))
    return generate_latest(registry) + predictors_own([served])


def predictors_own(servers: Iterable[Served]) -> bytes:
    """What the predictors of these servers measure themselves, as their replicas told it last."""
    return merged(it.metrics() for it in servers if it.metrics is not None).encode()


def merged(texts: Iterable[str]) -> str:
    """Prometheus texts of several replicas as one: each family once, with all its samples.

    Lines that are none of the format, and names that are this engine's own, are left out.
    """
    notes: dict[str, dict[str, str]] = {}
    samples: dict[str, list[str]] = {}
    left = MOST_LINES
    for text in texts:
        for line in text.split("\n"):  # labels may hold other ends of lines
            left -= 1
            if left < 0:
                break
            if (note := _NOTE.fullmatch(line)) is not None:
                notes.setdefault(note[2], {}).setdefault(note[1], line)
            elif (sample := _SAMPLE.fullmatch(line)) is not None:
                family = _family(sample[1], notes)
                if not family.startswith("spice_"):
                    samples.setdefault(family, []).append(line)
    lines: list[str] = []
    for family, own in samples.items():
        lines += notes.get(family, {}).values()
        lines += own
    return "\n".join(lines) + "\n" if lines else ""


def _family(name: str, notes: dict[str, dict[str, str]]) -> str:
    if name in notes:
        return name
    for suffix in _SUFFIXES:
        base = name.removesuffix(suffix)
        if base != name and base in notes:
            return base
    return name
