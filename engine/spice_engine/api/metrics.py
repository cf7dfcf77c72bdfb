"""The engine's figures as Prometheus text: gathered where they arise, read when scraped."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from prometheus_client.registry import Collector

from spice_engine.api import server_samples
from spice_engine.api.door import PrivateDoor
from spice_engine.events import Bus
from spice_engine.loop_lag import LoopLag
from spice_engine.serving.directory import Served

CONTENT_TYPE = CONTENT_TYPE_PLAIN_1_0_0
EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper edges of the latency buckets, seconds."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

Source = Callable[[], Mapping[str, float]]


class _Latency:
    """One route's histogram."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(EDGES, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        seen = 0
        pairs: list[tuple[str, float]] = []
        for edge, count in zip((*EDGES, float("inf")), self.counts, strict=True):
            seen += count
            pairs.append(("+Inf" if edge == float("inf") else str(edge), seen))
        return pairs


class HttpFigures:
    """Requests of the public door. Routes are templates, never raw paths, so labels are few."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.fast_in_flight: Callable[[], int] = lambda: 0
        self.connections: Callable[[], int] = lambda: 0
        self.websockets: Callable[[], int] = lambda: 0
        self._requests: dict[tuple[str, str, int], int] = {}
        self._latency: dict[str, _Latency] = {}

    @property
    def requests(self) -> int:
        """Requests answered so far, all together."""
        return sum(self._requests.values())

    def observe(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one finished request; `seconds` None where the duration says nothing."""
        key = (method if method in METHODS else "OTHER", route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        if seconds is not None:
            latency = self._latency.get(route)
            if latency is None:
                latency = self._latency[route] = _Latency()
            latency.observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """The families, as prometheus_client wants them."""
        requests = CounterMetricFamily(
            "spice_http_requests",
            "Requests answered by the public door.",
            labels=["method", "route", "status"],
        )
        for (method, route, status), count in self._requests.items():
            requests.add_metric([method, route, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "spice_http_request_seconds",
            "Seconds from a request's head to its answer.",
            labels=["route"],
        )
        for route, latency in self._latency.items():
            seconds.add_metric([route], latency.buckets(), latency.total)
        yield seconds
        for name, help_text, value in (
            (
                "in_flight",
                "Requests being answered now.",
                self.in_flight - self.websockets() + self.fast_in_flight(),
            ),
            ("connections", "Open connections of the public door.", self.connections()),
            ("websockets", "Open event sockets.", self.websockets()),
        ):
            yield GaugeMetricFamily(f"spice_http_{name}", help_text, value=value)


class EngineMetrics(Collector):
    """All figures of one engine.

    `sources` maps a group's name to a callable that gives its figures by name; a name that ends
    in `_total` is a counter, every other a gauge. Series are called `spice_<group>_<name>`.
    """

    def __init__(self, sources: Mapping[str, Source], lag: LoopLag) -> None:
        self.http = HttpFigures()
        self.servers: Iterable[Served] = ()
        self._sources = dict(sources)
        self._lag = lag
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(namespace="spice", registry=self._registry)

    def add(self, group: str, source: Source) -> None:
        """Add a group of figures; a second one of the same name is a defect."""
        if group in self._sources:
            raise ValueError(f"metrics {group!r} are registered twice")
        self._sources[group] = source

    def collect(self) -> Iterator[Metric]:
        """The families, as prometheus_client wants them."""
        yield from self.http.collect()
        yield from server_samples.families(self.servers)
        lag = HistogramMetricFamily(
            "spice_loop_lag_seconds", "How late the engine's loop ran its timers."
        )
        buckets = [(f"{edge:.6g}", float(count)) for edge, count in self._lag.cumulative()]
        buckets.append(("+Inf", float(self._lag.samples)))
        lag.add_metric([], buckets, self._lag.total)
        yield lag
        yield GaugeMetricFamily(
            "spice_loop_lag_max_seconds", "The latest timer since the start.", value=self._lag.max
        )
        for group, source in self._sources.items():
            for name, value in source().items():
                full = re.sub(r"[^a-z0-9_]", "_", f"spice_{group}_{name}".lower())
                if full.endswith("_total"):
                    yield CounterMetricFamily(full, f"{group}: {name}", value=value)
                else:
                    yield GaugeMetricFamily(full, f"{group}: {name}", value=value)

    def render(self) -> bytes:
        """Everything in Prometheus' text format, with what predictors measure themselves."""
        return generate_latest(self._registry) + server_samples.predictors_own(self.servers)


def bus_source(bus: Bus) -> Source:
    """Figures of the event bus, for `EngineMetrics`."""
    return lambda: {
        "subscriptions": bus.subscription_count,
        "queued_bytes": bus.queued_bytes,
        "overflows": bus.overflows,
    }


def door_source(door: PrivateDoor) -> Source:
    """Figures of the private door, for `EngineMetrics`."""
    return lambda: {"connections": len(door.connections), "requests_total": door.requests}
