"""Reward code that fails or runs away, in manifests and in files: it harms itself only."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from spice_engine.errors import SpiceError
from tests.conftest import REPOSITORY, EngineFixture, wait_for
from tests.e2e.serving_neighbour import words_of
from tests.e2e.two_pods import (
    MEBIBYTE,
    answer,
    broken,
    errors,
    folder,
    learned,
    line_of,
    pod,
    sample,
    save,
    settled,
    with_reward,
)

pytestmark = pytest.mark.e2e

TRAINING_SECONDS = 3

NAME = "second"
HEAD = sample(NAME).partition("  reward_init:")[0]
WITH_FILE = (
    HEAD.replace("holdout: 20%", "holdout: 20%\n  reward_funcs: rewards.py")
    + """\
  rewards:
    - reward: do_nothing
      with: nothing
    - reward: preload_cache
      with: preload
    - reward: perform_maintenance
      with: maintain
"""
)
GOOD_FILE = """\
CPU = "hostmetrics_service_cpu"


def nothing(current, next_state):
    return next_state[CPU] / 10


def preload(current, next_state):
    return 0


def maintain(current, next_state):
    return (30 - next_state[CPU]) / 5
"""


def rewards_file(engine: EngineFixture) -> Path:
    return engine.location.root / "rewards.py"


def spice_tui(engine: EngineFixture, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as a person runs it."""
    root = str(engine.location.root)
    return subprocess.run(
        [sys.executable, "-m", "spice_tui.cli.main", "-C", root, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=REPOSITORY,
    )


def last(engine: EngineFixture, name: str = NAME) -> dict[str, object]:
    return engine.call("pods.trainings", pod=name)["trainings"][-1]


def trainer(engine: EngineFixture) -> psutil.Process | None:
    for child in psutil.Process(engine.pid).children():
        if "spice_engine.learning.trainer" in words_of(child):
            return child
    return None


# -- rewards in the manifest

FAILING = [
    ("reward = 1 / (soon - 5)\nreward = 1 / int(soon / 1000)", "invalid_reward_function", 2),
    ("x = [1, 2]\nreward = x[int(soon)]", "invalid_reward_function", 2),
    ("reward = math.sqrt(-soon - 1)", "invalid_reward_function", 1),
    ("reward = math.log(soon * 0)", "invalid_reward_function", 1),
    ("if soon > 1000:\n    x = 1\nreward = x", "invalid_reward_function", 3),
    ("reward = int(math.inf)", "invalid_reward_function", 1),
    ("reward = 1e308 * soon * soon", "invalid_reward_value", None),
    ("x = math.inf\nreward = x - x", "invalid_reward_value", None),
    ("reward = None", "invalid_reward_value", None),
    ("reward = 1 if soon > 1000 else None", "invalid_reward_value", None),
    ("reward = [soon]", "invalid_reward_value", None),
]


@pytest.mark.parametrize(("code", "kind", "line"), FAILING, ids=range(len(FAILING)))
def test_rewards_that_fail_are_told_with_their_line_and_the_last_good_policy_answers(
    shared: EngineFixture, code: str, kind: str, line: int | None
):
    path = save(folder(shared) / f"{NAME}.yaml", sample(NAME))
    version = learned(shared, NAME)["policy_version"]
    before = answer(shared, NAME)
    text = with_reward(NAME, code)
    save(path, text)
    (problem,) = broken(shared, NAME)
    assert problem["code"] == kind
    assert problem["file"] == f"spicepods/{NAME}.yaml"
    if line is not None:
        assert problem["line"] == line_of(text, code.splitlines()[0]) + line - 1, problem
    assert problem["line"] > 0
    assert pod(shared, NAME)["state"] == "ready"
    assert answer(shared, NAME) == before
    assert (last(shared)["state"], last(shared)["error"]) == ("failed", kind)
    save(path, with_reward(NAME, f"reward = soon / {10 + len(code)}"))
    assert learned(shared, NAME, after=version)["policy_version"] == version + 1


@pytest.mark.parametrize(
    "code",
    [
        "import os\nreward = os.getpid()",
        "reward = ().__class__.__base__.__subclasses__()",
        "reward = soon.__class__",
        "reward = getattr(soon, 'real')",
        "reward = eval('1')",
        "reward = math.__loader__",
        "reward = globals()",
        "x = [1]\nfor i in range(99):\n    x = x + x\nreward = 1",
        "x = [1]\nfor i in range(99):\n    x += x\nreward = 1",
        "x = [0] * 999999999\nreward = 1",
        "x = (0,) * 999999999\nreward = 1",
        "reward = math.factorial(999999)",
        "reward = f'{soon:99999999999}'",
        "reward = 2 ** int(soon * 1000000)",
        "reward = 1 << 99999999999",
        "reward = next_state['no_such_field']",
        "x = range(10 ** 15)\nreward = sum([*x])",
        "pass",
        "reward == 1",
        "return 5",
        "while True:\n    pass\nreward = 1",
        "try:\n    reward = 1\nexcept ValueError:\n    pass",
        "class A: pass\nreward = 1",
        "def f(): return f()\nreward = f()",
        "del soon\nreward = 1",
        "reward = yield 1",
        "reward = (x := 5)",
        "exec('reward = 1')",
        "global soon\nreward = 1",
        "reward = 'text'",
        "re\u0661ward = 1",
    ],
)
def test_what_rewards_may_not_do_is_refused_before_it_runs(shared: EngineFixture, code: str):
    text = with_reward("refused", code)
    save(folder(shared) / "refused.yaml", text)
    found = broken(shared, "refused")
    first = line_of(text, code.splitlines()[0])
    last_line = first + len(code.splitlines()) - 1
    assert any(first - 3 <= item["line"] <= last_line for item in found), found
    assert pod(shared, "refused")["state"] == "failed"
    assert shared.call("pods.trainings", pod="refused")["trainings"] == []


# -- rewards in a file


@pytest.fixture
def with_file(shared: EngineFixture) -> Path:
    """The reward file of a second pod, trusted, which has learned from it."""
    shared.call("trust.set", trusted=True)
    path = save(rewards_file(shared), GOOD_FILE)
    save(folder(shared) / f"{NAME}.yaml", WITH_FILE)
    learned(shared, NAME)
    return path


def test_code_waits_until_the_folder_is_trusted(shared: EngineFixture):
    witness = shared.location.root / "it-ran"
    save(rewards_file(shared), f"open({str(witness)!r}, 'w').close()\n{GOOD_FILE}")
    save(folder(shared) / "waits.yaml", WITH_FILE.replace(f"name: {NAME}", "name: waits", 1))
    info = settled(shared, "waits")
    assert info["state"] == "needs trust"
    (problem,) = errors(info)
    assert problem["code"] == "needs_trust"
    assert "spice-tui trust" in problem["hint"]
    assert problem["line"] == line_of(WITH_FILE, "rewards.py")
    for refused in ("pods.train", "pods.recommend", "pods.reward_tests"):
        with pytest.raises(SpiceError) as caught:
            shared.call(refused, pod="waits")
        assert caught.value.code in {"needs_trust", "training_not_complete"}
    assert not witness.exists()
    # Nobody can be asked here; with --yes its owner has said so.
    asked = spice_tui(shared, "trust")
    assert asked.returncode != 0
    assert "rewards.py" in asked.stdout
    assert "--yes" in asked.stderr
    assert not witness.exists()
    given = spice_tui(shared, "trust", "--yes")
    assert (given.returncode, given.stderr) == (0, "")
    learned(shared, "waits")
    assert witness.exists()
    # Trusted no more, it goes on with what it has learned, and learns nothing new.
    before = answer(shared, "waits")
    assert spice_tui(shared, "trust", "--revoke").returncode == 0
    witness.unlink()
    save(rewards_file(shared), f"open({str(witness)!r}, 'w').close()\n{GOOD_FILE}\n# more\n")
    wait_for(lambda: pod(shared, "waits")["state"] == "needs trust", "it to wait again")
    assert answer(shared, "waits") == before
    assert not witness.exists()
    assert json.loads(spice_tui(shared, "trust", "--list", "--json").stdout) == []


def test_an_edited_file_is_learned_from_anew(shared: EngineFixture, with_file: Path):
    version = pod(shared, NAME)["policy_version"]
    for action, function in (("preload_cache", "preload"), ("do_nothing", "nothing")):
        start, found, end = GOOD_FILE.partition(
            f"def {function}(current, next_state):\n    return "
        )
        assert found
        save(with_file, f"{start}{found}100 + {end}")
        version = learned(shared, NAME, after=version)["policy_version"]
        assert answer(shared, NAME)["action"] == action
    assert not list(with_file.parent.glob("**/__pycache__"))


def test_a_deleted_file_leaves_the_last_good_version(shared: EngineFixture, with_file: Path):
    before, version = answer(shared, NAME), pod(shared, NAME)["policy_version"]
    with_file.unlink()
    (problem,) = broken(shared, NAME)
    assert "rewards.py" in problem["message"]
    assert problem["line"] == line_of(WITH_FILE, "rewards.py")
    assert answer(shared, NAME) == before
    save(with_file, GOOD_FILE.replace("/ 5", "/ 6"))
    learned(shared, NAME, after=version)


BODY = "def nothing(current, next_state):\n"
BAD_FILES = {
    "syntax": (BODY + "    return (\n", "invalid_reward_function", 2),
    "raises": (BODY + "    raise ValueError('no\\nreward')\n", "invalid_reward_function", 2),
    "none": (BODY + "    pass\n", "invalid_reward", None),
    "text": (BODY + "    return 'much'\n", "invalid_reward", None),
    "nan": (BODY + "    return float('nan')\n", "invalid_reward_value", None),
    "huge": (BODY + "    return 10 ** 400\n", "invalid_reward", None),
    "list": (BODY + "    return [1]\n", "invalid_reward", None),
    "exits": (BODY + "    raise SystemExit(3)\n", "invalid_reward_function", 2),
    "interrupt": (BODY + "    raise KeyboardInterrupt\n", None, None),
    "field": (BODY + "    return current['no_such_field']\n", "invalid_reward_function", 2),
    "arity": ("def nothing(current):\n    return 1\n", "invalid_reward_function", 1),
    "async": ("async def nothing(a, b):\n    return 1\n", "invalid_reward_function", 1),
    "missing": ("def nothin(a, b):\n    return 1\n", "invalid_reward_function", None),
    "number": ("nothing = 5\n", "invalid_reward_function", None),
    "import": ("import no_such_module\n" + BODY + "    return 1\n", "invalid_reward_function", 1),
    "recursion": (BODY + "    return nothing(current, next_state)\n", None, None),
    "empty": ("", "invalid_reward_function", None),
    "binary": ("\0\1\2", "invalid_reward_function", None),
    "dies": ("import os\n" + BODY + "    os._exit(3)\n", "child_failed", None),
    "segfault": ("import os\n" + BODY + "    os.kill(os.getpid(), 11)\n", "child_failed", None),
    "prints": (
        "import sys, os\n" + BODY + "    os.write(1, b'x' * 99)\n    return None\n",
        None,
        None,
    ),
    "closes": ("import os\n" + BODY + "    os.closerange(0, 200)\n    return 1\n", None, None),
    "patches": ("import builtins\nbuiltins.len = None\n" + BODY + "    return 1\n", None, None),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_harms_its_own_training_only(shared: EngineFixture, with_file: Path, case: str):
    before, version = answer(shared, NAME), pod(shared, NAME)["policy_version"]
    code, kind, line = BAD_FILES[case]
    save(
        with_file,
        GOOD_FILE.replace(
            GOOD_FILE[GOOD_FILE.index("def n") : GOOD_FILE.index("def p")], code + "\n\n"
        ),
    )
    if case in {"prints", "patches", "closes"}:
        settle_after_change(shared, version)
    else:
        (problem,) = broken(shared, NAME)
        assert kind is None or str(problem["code"]).startswith(kind), problem
        if line is not None:
            assert str(problem["file"]).endswith("rewards.py")
            offset = GOOD_FILE[: GOOD_FILE.index("def n")].count("\n")
            assert problem["line"] == offset + line, problem
        assert answer(shared, NAME) == before
    # Good again, it learns: what the file left in the trainer's process does not matter.
    version = pod(shared, NAME)["policy_version"]
    save(with_file, GOOD_FILE.replace("/ 5", f"/ {6 + len(case)}"))
    learned(shared, NAME, after=version)
    # Nor does it for the others, which are trained in the same process.
    assert shared.call("pods.train", pod="serverops", wait=True)["state"] == "complete"


def settle_after_change(engine: EngineFixture, version: int) -> None:
    """Whether it can be learned from is up to the file; that it ends is not."""
    wait_for(
        lambda: (
            pod(engine, NAME)["state"] == "ready"
            and (errors(pod(engine, NAME)) or pod(engine, NAME)["policy_version"] > version)
        ),
        "an end of it",
    )


@pytest.mark.parametrize(
    "code",
    [
        "while True:\n    pass\n",
        BODY
        + "    while True:\n        try:\n            while True:\n                pass\n"
        + "        except BaseException:\n            pass\n",
        "import signal\nfor one in (2, 15):\n    signal.signal(one, signal.SIG_IGN)\n"
        + BODY
        + "    while True:\n        pass\n",
    ],
    ids=["at import", "holds on", "deaf"],
)
@pytest.mark.slow
def test_a_file_that_does_not_end_is_ended(shared: EngineFixture, with_file: Path, code: str):
    before, version = answer(shared, NAME), pod(shared, NAME)["policy_version"]
    save(with_file, GOOD_FILE + code)
    wait_for(lambda: pod(shared, NAME)["state"] == "training", "it to train")
    working = trainer(shared)
    (problem,) = broken(shared, NAME)
    assert problem["code"] == "deadline_exceeded"
    assert answer(shared, NAME) == before
    assert last(shared)["error"] == "deadline_exceeded"
    assert working is not None
    wait_for(lambda: not working.is_running(), "its trainer to be gone")
    save(with_file, GOOD_FILE.replace("/ 5", f"/ {6 + len(code)}"))
    learned(shared, NAME, after=version)


@pytest.mark.parametrize(
    "code",
    [
        "x = []\nwhile True:\n    x.append(bytes(2 ** 24))\n",
        BODY + "    x = [bytes(2 ** 24) for _ in range(10 ** 6)]\n    return len(x)\n",
        BODY + "    return len(bytearray(2 ** 45))\n",
    ],
    ids=["at import", "slowly", "at once"],
)
@pytest.mark.slow
def test_a_file_that_wants_all_memory_does_not_get_it(
    shared: EngineFixture, with_file: Path, code: str
):
    before, version = answer(shared, NAME), pod(shared, NAME)["policy_version"]
    available = psutil.virtual_memory().available
    save(with_file, GOOD_FILE + code)
    most = 0

    def failed() -> bool:
        nonlocal most
        child = trainer(shared)
        if child is not None:
            with contextlib.suppress(psutil.Error):
                most = max(most, child.memory_info().rss)
        return bool(errors(pod(shared, NAME)))

    wait_for(failed, "it to fail")
    (problem,) = broken(shared, NAME)
    assert problem["code"] == "invalid_reward_function"
    assert "MemoryError" in problem["message"]
    assert most < available
    assert answer(shared, NAME) == before
    assert psutil.Process(shared.pid).memory_info().rss < 300 * MEBIBYTE
    save(with_file, GOOD_FILE.replace("/ 5", f"/ {6 + len(code)}"))
    learned(shared, NAME, after=version)
    assert shared.call("pods.train", pod="serverops", wait=True)["state"] == "complete"
