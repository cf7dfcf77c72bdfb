"""Effects and laws that fail, run away or allow nothing: told with their line, others go on."""

from __future__ import annotations

import pytest

from tests.conftest import EngineFixture
from tests.e2e.two_pods import answer, broken, folder, learned, line_of, pod, sample, save

pytestmark = pytest.mark.e2e

SIMULATED = """\
  - from: local
    name: purse
    measurements:
      - name: coins
        initializer: 3
      - name: spent
    actions:
      spend: |
        EFFECT
    laws:
      - LAW

actions:
  - name: do_nothing
  - name: preload_cache
  - name: perform_maintenance
    do:
      name: local.purse.spend
      args:
        load: hostmetrics.service.cpu
"""


def simulated(effect: str = "coins -= 1", law: str = "coins >= 0", name: str = "acts") -> str:
    text = sample(name).replace("period: 24h", "period: 2h")  # so that it is quick
    start, end = text.index("actions:"), text.index("training:")
    lines = effect.replace("\n", "\n        ")
    block = SIMULATED.replace("EFFECT", lines).replace("LAW", law)
    return text[:start] + block + "\n" + text[end:]


def last(engine: EngineFixture) -> dict[str, object]:
    """The newest training."""
    return engine.call("pods.trainings", pod="acts")["trainings"][-1]


@pytest.mark.parametrize(
    ("effect", "law", "kind"),
    [
        ("coins -= 1 / spent", "coins >= 0", "invalid_datasource_action_expression"),
        ("coins -= args.load / (coins - 3)", "coins >= 0", "invalid_datasource_action_expression"),
        ("coins = math.sqrt(-coins)", "coins >= 0", "invalid_datasource_action_expression"),
        ("coins = 1e308 * 10 * coins", "coins >= 0", "invalid_datasource_action_expression"),
        ("coins -= 1", "1 / spent > 0", "invalid_law_expression"),
        ("coins -= 1", "math.log(spent) < 0", "invalid_law_expression"),
    ],
)
def test_effects_and_laws_that_fail_are_told_with_their_line(
    shared: EngineFixture, effect: str, law: str, kind: str
):
    path = save(folder(shared) / "acts.yaml", simulated())
    version = learned(shared, "acts")["policy_version"]
    before = answer(shared, "acts")
    text = simulated(effect, law)
    save(path, text)
    (problem,) = broken(shared, "acts")
    assert problem["code"] == kind
    assert problem["line"] == line_of(text, law if "law" in kind else effect), problem
    assert answer(shared, "acts") == before
    assert last(shared)["error"] == kind
    episode = last(shared)["episodes"][-1]
    assert (episode["error"], bool(episode["error_message"])) == (kind, True)
    save(path, simulated(f"coins -= {2 + version}"))
    learned(shared, "acts", after=version)


@pytest.mark.parametrize(
    ("effect", "law"),
    [
        ("while True:\n    coins += 1", "coins >= 0"),
        ("for i in range(10):\n    coins += 1", "coins >= 0"),
        ("import os", "coins >= 0"),
        ("cpu = 5", "coins >= 0"),
        ("coins += args.no_such", "coins >= 0"),
        ("coins += none", "coins >= 0"),
        ("coins.real = 1", "coins >= 0"),
        ("coins -= 1", "coins = 1"),
        ("coins -= 1", "open('/etc/passwd')"),
        ("coins -= 1", "coin >= 0"),
        ("coins -= 1", "(" * 300 + "coins" + ")" * 300 + " > 0"),
    ],
)
def test_effects_and_laws_that_are_refused(shared: EngineFixture, effect: str, law: str):
    text = simulated(effect, law, "never")
    save(folder(shared) / "never.yaml", text)
    found = broken(shared, "never")
    first = line_of(text, effect.splitlines()[0])
    assert any(first <= item["line"] <= line_of(text, "training:") for item in found)
    assert pod(shared, "never")["state"] == "failed"


def test_laws_that_nothing_satisfies_leave_what_has_no_effect(shared: EngineFixture):
    save(folder(shared) / "acts.yaml", simulated("coins -= 1", "coins > 99"))
    learned(shared, "acts")
    given = shared.call("pods.recommend", pod="acts")
    assert given["action"] in {"do_nothing", "preload_cache"}
    # With an effect in every action there is none that is lawful, and still an answer.
    text = simulated("coins -= 1", "coins > 99")
    for action in ("do_nothing", "preload_cache"):
        text = text.replace(
            f"  - name: {action}\n",
            f"  - name: {action}\n    do:\n      name: local.purse.spend\n"
            "      args:\n        load: hostmetrics.service.cpu\n",
        )
    version = pod(shared, "acts")["policy_version"]
    save(folder(shared) / "acts.yaml", text)
    learned(shared, "acts", after=version)
    assert shared.call("pods.recommend", pod="acts")["action"] in pod(shared, "acts")["actions"]
