"""Single parts of a pod's way, timed in this process: rewards, and one uncached recommendation.

    python bench/pods_inside.py --cases DIR

Prints one line of JSON; `bench/pods.py` reads it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spice_engine.data.loader import load
from spice_engine.learning.policy import Policy
from spice_engine.learning.reward_program import compile_rewards
from spice_engine.learning.rewards import reward_matrix
from spice_engine.learning.trainer import train
from spice_engine.pods import plan
from spice_engine.pods.live import Pod, Table
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.model import RewardFile
from spice_engine.workers.arrays import ArrayRef
from spice_engine.workers.arrays import load as load_array
from spice_engine.workers.child import LocalReport


def milliseconds(work: Callable[[], Any], rounds: int = 200) -> float:
    """Median of single runs."""
    taken: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return round(1000 * statistics.median(taken), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=Path, required=True)
    cases = parser.parse_args().cases
    manifest = load_manifest((cases / "manifests/gardener.yaml").read_text(), "gardener.yaml")
    with tempfile.TemporaryDirectory() as scratch:
        params = plan.loader_params(manifest, cases, Path(scratch), time.time())
        loaded = load(params, LocalReport())
        values = np.asarray(load_array(ArrayRef.from_dict(loaded["values"])))
        times = np.asarray(load_array(ArrayRef.from_dict(loaded["times"])))
        asked = plan.trainer_params(manifest, loaded, cases, fingerprint="")
        policy = Policy.from_bytes(train(asked, LocalReport())["policy"])
    training = manifest.training
    codes = training.rewards
    assert codes is not None
    assert not isinstance(codes, RewardFile)

    def compile_all() -> Any:
        return compile_rewards(manifest.action_names, manifest.fields, training.reward_init, codes)

    program = compile_all()
    pod = Pod("gardener", Path("gardener.yaml"))
    pod.table = Table(
        values,
        tuple(loaded["fields"]),
        loaded["start"],
        loaded["granularity"],
        loaded["complete_rows"],
        "",
    )
    moments = iter(range(loaded["start"] + 86_400, loaded["start"] + 20 * 86_400, 607))
    print(
        json.dumps(
            {
                "compile_ms": milliseconds(compile_all),
                "matrix_ms": milliseconds(
                    lambda: reward_matrix(program, values[:-1], values[1:], times[:-1], int)
                ),
                "recommend_ms": milliseconds(
                    lambda: pod.recommend(policy, 1, next(moments), tag="latest", explain=False)
                ),
                "policy": policy.algorithm,
            }
        )
    )


if __name__ == "__main__":
    main()
