"""Model servers beside their peers: speed, failures under updates and kills, overload, scaling.

    python bench/serving.py [--peers DIR] [--only PART ...] [--rounds 5] [--out docs/benchmarks]

`DIR` holds a virtual environment for each peer: ref (fastapi, uvicorn, uvloop, httptools, numpy),
litserve, bentoml, mlserver, ray, each with numpy. Needs wrk. Without `--out` the figures are
printed only. Parts: see `PARTS`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import statistics
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from serving_busy import lag_buckets, lag_p99, start_work, write_data
from serving_load import (
    ECHO,
    Clients,
    conditions,
    cpu_seconds,
    health_latencies,
    median,
    mlp_body,
    pss_mib,
    quantile,
    wrk,
)
from serving_world import Peer, World, available, peer_server, world

Figures = dict[str, Any]
SECONDS = 3.0


class Bench:
    """The parts, each on an engine of its own."""

    def __init__(self, venvs: Path | None, rounds: int) -> None:
        self.venvs = venvs
        self.peers = available(venvs)
        self.rounds = rounds

    def _peer(self, peer: Peer, work: str, body: bytes) -> dict[str, float]:
        assert self.venvs is not None
        with peer_server(peer, self.venvs, work) as (url, pid):
            wrk(url, peer.body(body), clients=64, seconds=1)
            before = cpu_seconds([pid])
            found = wrk(url, peer.body(body), clients=64, seconds=SECONDS)
            used = cpu_seconds([pid]) - before
            found["per_cpu_s"] = round(found["requests"] / max(used, 1e-9))
            return found

    def _ours(self, there: World, name: str, body: bytes, clients: int = 64) -> dict[str, float]:
        url = f"{there.http}/servers/{name}/predict"
        wrk(url, body, clients=clients, seconds=1)
        pids = [there.pid, *there.replicas(name)]
        before = cpu_seconds(pids)
        found = wrk(url, body, clients=clients, seconds=SECONDS)
        used = cpu_seconds(pids) - before
        found["per_cpu_s"] = round(found["requests"] / max(used, 1e-9))
        return found

    def _beside(self, work: str, body: bytes) -> Figures:
        """Ours and the peers' in turn, `rounds` times, 64 clients, one replica."""
        seen: dict[str, list[dict[str, float]]] = {}
        kind = "batch" if work == "mlp" else work
        more: Figures = {"batching": {"enabled": True}} if work == "mlp" else {}
        with world() as there:
            there.serve("bench", kind, **more)
            for number in range(self.rounds):
                seen.setdefault("spice-tui", []).append(self._ours(there, "bench", body))
                for name, peer in self.peers.items():
                    # The slow starters are measured in the first three rounds only.
                    if number < 3 or name in {"FastAPI + uvicorn", "LitServe"}:
                        seen.setdefault(name, []).append(self._peer(peer, work, body))
        return {name: _middle(points) for name, points in seen.items()}

    def trivial(self) -> Figures:
        """The trivial prediction, 64 clients; and one client."""
        found = self._beside("echo", ECHO)
        with world() as there:
            there.serve("bench", "echo")
            one = [self._ours(there, "bench", ECHO, clients=1) for _ in range(self.rounds)]
        return {"beside": found, "one_client": _middle(one)}

    def mlp(self) -> Figures:
        """The perceptron with bodies of 6 kB, batched; one client, batched and not."""
        body = mlp_body()
        found = self._beside("mlp", body)
        single: dict[str, list[dict[str, float]]] = {"batched": [], "unbatched": []}
        with world() as there:
            there.serve("batched", "batch", batching={"enabled": True})
            there.serve("unbatched", "mlp")
            for _ in range(self.rounds):
                for name, points in single.items():
                    points.append(self._ours(there, name, body, clients=1))
        return {"beside": found, **{f"one_client_{k}": _middle(v) for k, v in single.items()}}

    def busy(self) -> Figures:
        """The trivial prediction while a pod trains and a file of 2 million rows loads."""
        with world() as there:
            there.serve("bench", "echo")
            write_data(there)
            alone: list[dict[str, float]] = []
            beside: list[dict[str, float]] = []
            lags: list[float] = []
            for _ in range(self.rounds):
                alone.append(self._ours(there, "bench", ECHO))
                stop = start_work(there)
                before = lag_buckets(there)
                beside.append(self._ours(there, "bench", ECHO))
                lags.append(lag_p99(before, lag_buckets(there)))
                stop()
            ratios = [b["rps"] / a["rps"] for a, b in zip(alone, beside, strict=True)]
            bad = sum(point["bad"] + point["broken"] for point in alone + beside)
        return {
            "ratio": median(ratios),
            "alone": _middle(alone),
            "beside": _middle(beside),
            "loop_lag_p99_ms": round(max(lags), 2),
            "errors": int(bad),
        }

    def health(self) -> Figures:
        """/health while 64 clients keep a predictor busy that sleeps 20 ms."""
        with world() as there:
            there.serve("bench", "slow")
            host, port = there.address

            async def measure() -> dict[str, list[float]]:
                path = "/servers/bench/predict"
                async with Clients(host, port, path, ECHO, clients=64) as clients:
                    await asyncio.sleep(1)
                    own = await health_latencies(host, port, "/servers/bench/health", 3)
                    engine = await health_latencies(host, port, "/health", 3)
                return {"server": own, "engine": engine, "rate": [clients.outcome.good / 7]}

            found = asyncio.run(measure())
        return {
            "server_p50_ms": quantile(found["server"], 0.5),
            "server_p99_ms": quantile(found["server"], 0.99),
            "engine_p99_ms": quantile(found["engine"], 0.99),
            "rps": found["rate"][0],
        }

    def update(self) -> Figures:
        """Rolling updates at 2,000 requests a second."""
        times: list[float] = []
        with world() as there:
            there.serve("bench", "echo", scaling={"min_pods": 2, "max_pods": 2})
            host, port = there.address

            async def measure() -> Clients:
                path = "/servers/bench/predict"
                async with Clients(host, port, path, ECHO, clients=32, rate=2000) as clients:
                    await asyncio.sleep(1)
                    for number in range(20):
                        begin = time.perf_counter()
                        change = {"description": f"update {number}", "env": _env("echo", number)}
                        await asyncio.to_thread(
                            there.call,
                            "servers.update",
                            {"server": "bench", "changes": change, "wait": True},
                        )
                        times.append(time.perf_counter() - begin)
                    await asyncio.sleep(1)
                return clients

            clients = asyncio.run(measure())
        outcome = clients.outcome
        return {
            "updates": len(times),
            "update_s": median(times),
            "requests": sum(outcome.statuses.values()),
            "failed": outcome.failed(),
            "p99_ms": outcome.percentile(0.99),
            "trouble": outcome.trouble[:5],
        }

    def kill(self) -> Figures:
        """`kill -9` of one of two replicas under 64 keep-alive clients."""
        back: list[float] = []
        with world() as there:
            there.serve("bench", "echo", scaling={"min_pods": 2, "max_pods": 2})
            host, port = there.address

            async def measure() -> Clients:
                path = "/servers/bench/predict"
                async with Clients(host, port, path, ECHO, clients=64) as clients:
                    await asyncio.sleep(1)
                    for _ in range(20):
                        victim = random.choice(await asyncio.to_thread(there.workers, "bench"))
                        os.kill(victim, signal.SIGKILL)
                        begin = time.perf_counter()
                        await asyncio.sleep(0.05)
                        await asyncio.to_thread(_until_ready, there, "bench", 2)
                        back.append(time.perf_counter() - begin)
                        await asyncio.sleep(0.5)
                return clients

            outcome = asyncio.run(measure()).outcome
        return {
            "kills": len(back),
            "requests": sum(outcome.statuses.values()),
            "failed": outcome.failed(),
            "full_strength_s": {"median": median(back), "max": round(max(back), 3)},
            "trouble": outcome.trouble[:5],
        }

    def restart(self) -> Figures:
        """`engine restart` under 64 keep-alive clients."""
        gaps: list[float] = []
        with world() as there:
            there.serve("bench", "echo")
            host, port = there.address

            async def measure() -> Clients:
                path = "/servers/bench/predict"
                async with Clients(host, port, path, ECHO, clients=64, rate=2000) as clients:
                    await asyncio.sleep(1)
                    for _ in range(10):
                        started = await asyncio.to_thread(there.call, "engine.status")
                        begin = time.perf_counter()
                        await asyncio.to_thread(there.call, "engine.restart")
                        while True:
                            try:
                                now = await asyncio.to_thread(there.call, "engine.status")
                                if now["started"] != started["started"]:
                                    break
                            except Exception:  # noqa: BLE001 - it is away just now
                                await asyncio.sleep(0.02)
                        gaps.append(time.perf_counter() - begin)
                        await asyncio.sleep(1)
                return clients

            outcome = asyncio.run(measure()).outcome
        return {
            "restarts": len(gaps),
            "restart_s": median(gaps),
            "requests": sum(outcome.statuses.values()),
            "failed": outcome.failed(),
            "longest_ms": outcome.percentile(1.0),
            "trouble": outcome.trouble[:5],
        }

    def overload(self) -> Figures:
        """Five times the capacity for 30 s: a predictor that sleeps 20 ms, one at a time."""
        with world() as there:
            there.serve("bench", "slow", door={"max_queue": 2})
            host, port = there.address
            path = "/servers/bench/predict"

            async def load(clients: int, rate: float, seconds: float) -> Clients:
                async with Clients(host, port, path, ECHO, clients=clients, rate=rate) as found:
                    await asyncio.sleep(seconds)
                return found

            async def measure() -> tuple[Clients, Clients, Clients, float]:
                calm = await load(2, 25, 5)
                before = pss_mib([there.pid])
                heavy = await load(256, 250, 30)
                grown = pss_mib([there.pid]) - before
                after = await load(2, 25, 2)
                return calm, heavy, after, grown

            calm, heavy, after, grown = asyncio.run(measure())
        first_good = [t for t, ok in _order(after) if ok]
        return {
            "unloaded_p99_ms": calm.outcome.percentile(0.99),
            "accepted_p99_ms": heavy.outcome.percentile(0.99),
            "statuses": dict(heavy.outcome.statuses),
            "accepted_per_s": round(heavy.outcome.good / 30, 1),
            "pss_growth_mib": round(grown, 1),
            "recovery_s": round(first_good[0], 3) if first_good else None,
            "after_failed": after.outcome.failed(),
        }

    def start(self) -> Figures:
        """From the command to the first 200, and the memory of two idle NumPy replicas."""
        times: list[float] = []
        with world() as there:
            there.serve("warm", "echo")  # the environment is made once
            environment = {**os.environ, "COLUMNS": "100"}
            for number in range(7):
                name = f"s{number}"
                command = [str(Path(sys.executable).with_name("spice-tui"))]
                command += ["-C", str(there.location.root)]
                command += ["server", "serve", "ours.py", "--name", name, "--no-open"]
                begin = time.perf_counter()
                process = _spawn(command, environment)
                _first_200(f"{there.http}/servers/{name}/predict", begin + 30)
                times.append(time.perf_counter() - begin)
                process.wait()
                there.remove(name)
        with world() as there:
            there.serve("idle", "mlp", scaling={"min_pods": 2, "max_pods": 2})
            time.sleep(3)
            memory = pss_mib([*there.replicas("idle"), *there.workers("idle")])
        return {
            "command_to_200_s": {"median": median(times), "max": round(max(times), 3)},
            "two_idle_numpy_replicas_pss_mib": memory,
        }

    def scale(self) -> Figures:
        """The autoscaler: 50 ms a call, one at a time, a step from 0 to four times one replica."""
        with world() as there:
            there.serve("bench", "step", scaling={"min_pods": 1, "max_pods": 6})
            host, port = there.address
            pods: list[tuple[float, int]] = []

            async def measure() -> Clients:
                path = "/servers/bench/predict"
                async with Clients(host, port, path, ECHO, clients=16, rate=80) as clients:
                    begin = time.perf_counter()
                    while (now := time.perf_counter() - begin) < 60:
                        info = await asyncio.to_thread(there.info, "bench")
                        pods.append((now, info["pods_ready"]))
                        await asyncio.sleep(0.25)
                return clients

            clients = asyncio.run(measure())
            details = there.call("servers.get", {"server": "bench"})
        slow = [t for t, ms in zip(clients.outcome.when, clients.outcome.latencies, strict=True)
                if ms > 0.25]  # fmt: skip
        turns = _turns([after["after"] - after["before"] for after in details["decisions"][::-1]])
        return {
            "balance_s": round(max(slow, default=0.0), 2),
            "turns": turns,
            "pods": sorted({count for _, count in pods}),
            "p99_steady_ms": quantile(
                [
                    1000 * ms
                    for t, ms in zip(clients.outcome.when, clients.outcome.latencies, strict=True)
                    if t > 10
                ],
                0.99,
            ),
            "failed": clients.outcome.failed(),
        }


PARTS = (
    *("trivial", "mlp", "busy", "health", "update"),
    *("kill", "restart", "overload", "start", "scale"),
)


def _middle(points: list[dict[str, float]]) -> dict[str, float]:
    """Medians of what several runs measured."""
    middle = {key: round(statistics.median(p[key] for p in points), 3) for key in points[0]}
    return {**middle, "runs": len(points)}


def _until_ready(there: World, name: str, count: int) -> None:
    while there.info(name)["pods_ready"] < count:
        time.sleep(0.02)


def _env(work: str, number: int) -> dict[str, str]:
    return {"WORK": work, "OPENBLAS_NUM_THREADS": "1", "UPDATE": str(number)}


def _turns(changes: list[int]) -> int:
    signs = [change > 0 for change in changes if change]
    return sum(a != b for a, b in itertools.pairwise(signs))


def _order(clients: Clients) -> list[tuple[float, bool]]:
    good = [(t, True) for t in clients.outcome.when]
    return sorted(good + [(t, False) for t, _ in clients.outcome.trouble])


def _spawn(command: list[str], environment: dict[str, str]) -> Any:
    import subprocess

    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)


def _first_200(url: str, until: float) -> None:
    while time.perf_counter() < until:
        request = urllib.request.Request(url, ECHO, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.005)
    raise TimeoutError(url)


def main() -> int:
    """Run the parts; print and write their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    bench = Bench(options.peers, options.rounds)
    figures: Figures = {"conditions": conditions()}
    for part in options.only:
        begin = time.perf_counter()
        figures[part] = getattr(bench, part)()
        took = time.perf_counter() - begin
        print(f"== {part} ({took:.0f} s)\n{json.dumps(figures[part], indent=2)}", flush=True)
    if options.out:
        import serving_report

        serving_report.write(figures, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
