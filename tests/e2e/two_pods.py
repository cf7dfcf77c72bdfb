"""What the tests of bad input share: a good pod, and a bad one beside it that must not disturb it.

The fixtures of `conftest.py` here give the engine; these functions write files as people's editors
do and say how pods fare.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

from tests.conftest import REPOSITORY, EngineFixture, wait_for

SAMPLE = REPOSITORY / "sample_pods" / "serverops"
TEXT = (SAMPLE / "spicepods" / "serverops.yaml").read_text()
DATA = (SAMPLE / "data" / "metrics.csv").read_bytes().decode()
MEBIBYTE = 2**20
FROM_FILE = (
    "      connector:\n        name: file\n        params:\n          path: data/metrics.csv\n"
    "      processor:\n        name: csv\n"
)
"""How the sample gets its data; what stands in its place gets them in another way."""

GOOD = "serverops"
"""The pod that nothing may disturb."""

Pod = dict[str, object]
Problem = dict[str, object]


def folder(engine: EngineFixture) -> Path:
    """Where the manifests lie."""
    return engine.location.root / "spicepods"


def pods(engine: EngineFixture) -> list[str]:
    """The names of all pods."""
    return [item["name"] for item in engine.call("pods.list")["pods"]]


def pod(engine: EngineFixture, name: str = GOOD) -> Pod:
    """All that is known of a pod."""
    return engine.call("pods.get", pod=name)


def answer(engine: EngineFixture, name: str = GOOD) -> dict[str, object]:
    """What a pod recommends, whichever training it comes from."""
    return {**engine.call("pods.recommend", pod=name), "policy_version": 0}


def errors(info: Pod) -> list[Problem]:
    """What of a pod's problems is wrong, and not only doubtful."""
    return [item for item in info["problems"] if item["severity"] == "error"]


def save(path: Path, content: str | bytes) -> Path:
    """As editors do: write beside, rename."""
    beside = path.with_name(f".{path.name}~")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    return beside.rename(path)


def sample(name: str, **changes: str) -> str:
    """The sample's manifest under another name, some of its lines changed."""
    text = TEXT.replace(f"name: {GOOD}", f"name: {name}", 1)
    for old, new in changes.items():
        assert TEXT.count(old.replace("_", " ")) or TEXT.count(old)
        text = text.replace(old, new)
    return text


def with_reward(name: str, code: str) -> str:
    """The sample's manifest with other code as the reward of its first action."""
    indented = "".join(f"        {line}\n" for line in code.splitlines())
    start, found, _ = sample(name).partition("        # The quieter the service")
    assert found
    return start + indented


def pod_that(
    engine: EngineFixture, name: str, condition: Callable[[Pod], object], what: str
) -> Pod:
    """The pod as it was when this held; a moment later it may load its files again."""
    seen: list[Pod] = []

    def holds() -> bool:
        if name not in pods(engine):
            return False
        seen[:] = [pod(engine, name)]
        return bool(condition(seen[0]))

    wait_for(holds, what)
    return seen[0]


def settled(engine: EngineFixture, name: str) -> Pod:
    """The pod once it neither loads nor trains."""
    resting = {"ready", "failed", "untrained", "needs trust"}
    return pod_that(engine, name, lambda info: info["state"] in resting, f"{name} to settle")


def learned(engine: EngineFixture, name: str, after: int = 0) -> Pod:
    """The pod once it has a policy newer than version `after`, and nothing is wrong with it."""

    def done(info: Pod) -> bool:
        newer = (info["policy_version"] or 0) > after
        return info["state"] == "ready" and newer and not errors(info)

    return pod_that(engine, name, done, f"{name} to learn")


def broken(engine: EngineFixture, name: str) -> list[Problem]:
    """The pod's errors once there are some and it rests again."""

    def rests(info: Pod) -> bool:
        return bool(errors(info)) and info["state"] not in {"loading", "training"}

    found = errors(pod_that(engine, name, rests, f"an error of {name}"))
    for problem in found:
        check(problem)
    return found


def check(problem: Problem) -> None:
    """A problem says what happened in words for people, and names a file."""
    text = f"{problem['message']} {problem['hint']}"
    assert problem["message"], problem
    assert problem["file"], problem
    assert len(text) < 2000, problem
    assert "Traceback" not in text, problem
    assert problem["code"] != "internal_error", problem


def line_of(text: str, part: str) -> int:
    """The line of the first place where `part` stands."""
    assert part in text
    return text[: text.index(part)].count("\n") + 1


def rows_of(engine: EngineFixture, name: str) -> int:
    """How many raw rows a pod holds."""
    return int(engine.call("pods.observations", pod=name)["rows"])


def bomb(size: int) -> bytes:
    """That many MiB of zeros, packed by gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MEBIBYTE)) for _ in range(size)) + packer.flush()
