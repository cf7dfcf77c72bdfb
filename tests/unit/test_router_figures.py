"""Figures of servers: percentiles, rates, sums over replicas that come and go."""

from __future__ import annotations

import random

from spice_engine.serving.figures import EDGES, Figures


def test_percentiles_are_right_within_a_bucket() -> None:
    figures = Figures()
    times = [random.Random(3).lognormvariate(-6, 1) for _ in range(5000)]
    for n, seconds in enumerate(times):
        figures.observe(200, seconds, 0.0, seconds / 2, 1000.0 + n / 5000)
    told = figures.snapshot(1001.5)
    times.sort()
    for found, share in ((told.p50, 0.5), (told.p99, 0.99)):
        assert found is not None
        assert 1 / 1.2 < found / (1000 * times[int(share * len(times))]) < 1.2


def test_rates_cover_the_last_seconds_only() -> None:
    figures = Figures()
    for second in range(100):
        for _ in range(10):
            figures.observe(200, 0.001, 0.0, 0.001, 1000.0 + second)
    figures.observe(500, 0.001, 0.0, 0.001, 1099.5)
    figures.refused(429, 1099.6)
    told = figures.snapshot(1100.2)
    assert (told.rate, told.errors) == (301 / 30, 1 / 30)
    assert told.statuses == {200: 1000, 500: 1, 429: 1}
    assert told.classes == {"2xx": 1000, "5xx": 1, "4xx": 1}
    assert figures.rate(1100.2, 5) == 51 / 5
    later = figures.snapshot(1200.0)
    assert (later.rate, later.p50) == (0.0, None)
    assert later.count == 1002


def test_a_young_servers_rate_is_over_its_life() -> None:
    figures = Figures()
    for _ in range(40):
        figures.observe(200, 0.001, 0.0, 0.001, 500.2)
    assert figures.rate(502.1) == 20.0


def test_a_replica_counts_while_it_lives_and_after() -> None:
    server, one, two = Figures(), Figures(), Figures()
    for part in (one, two):
        server.add(part)
    for n in range(50):
        one.observe(200, 0.010, 0.001, 0.005, 100.0 + n)
        two.observe(200, 0.010, 0.001, 0.005, 110.0 + n)
    two.batch(7, 120.0)
    one.retries = 2
    before = (server.snapshot(161.0), server.latency(), server.batch_sizes(), server.rate(150.0))
    server.absorb(one)
    server.absorb(two)
    after = (server.snapshot(161.0), server.latency(), server.batch_sizes(), server.rate(150.0))
    assert after[:3] == before[:3]
    assert after[0].count == 100
    assert after[1].count == 100
    assert after[1].buckets[-1][1] == 100
    assert abs(after[1].total - 1.0) < 1e-9
    server.absorb(two)
    assert server.snapshot(161.0).count == 100


def test_buckets_are_cumulative_and_their_edges_rise() -> None:
    figures = Figures()
    for seconds in (0.0, EDGES[0], 0.02, 3.0, 1e6):
        figures.observe(200, seconds, seconds, seconds, 10.0)
    told = figures.queue_time()
    assert told.count == 5
    edges, counts = zip(*told.buckets, strict=True)
    assert list(edges) == sorted(edges)
    assert list(counts) == sorted(counts)
    # What lies over the last edge counts in the whole only.
    assert counts[-1] == 4
    assert figures.service_time() == told
