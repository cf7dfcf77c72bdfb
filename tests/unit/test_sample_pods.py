"""The sample pods: they lint clean, their data can be made again, and what they learn is real."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from spice_engine.learning.reward_questions import reward_tests
from spice_engine.pods import plan
from spice_engine.pods.app_files import app_files
from spice_engine.pods.manifest import load_manifest, parse_manifest
from spice_engine.pods.samples import sample_names, samples_folder
from spice_engine.workers.child import LocalReport
from tests.conftest import REPOSITORY

NAMES = ("gardener", "logpruner", "serverops", "trader")
ACTING = "cartpole"
"""The one that has no data: it acts in an environment."""
GENERATORS = (
    ("gardener", "simulate.py", "data/garden.csv"),
    ("logpruner", "logs.py", "data/events.json"),
    ("trader", "market.py", "data/prices.csv"),
)


def manifest_text(name: str) -> str:
    return (samples_folder() / name / "spicepods" / f"{name}.yaml").read_text()


def generate(name: str, program: str, out: Path, *flags: str) -> bytes:
    command = [sys.executable, str(samples_folder() / name / program), "--out", str(out), *flags]
    subprocess.run(command, check=True)
    return out.read_bytes()


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The script that judges samples on series they have never seen."""
    spec = importlib.util.spec_from_file_location(
        "bench_samples", REPOSITORY / "bench" / "samples.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_samples"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_samples_that_there_are():
    assert sample_names() == [f"samples/{name}" for name in sorted((*NAMES, ACTING))]


@pytest.mark.parametrize("name", [*NAMES, ACTING])
def test_a_sample_lints_without_findings(name: str):
    parsed = parse_manifest(manifest_text(name), f"{name}.yaml", {})
    assert parsed.problems == ()
    assert parsed.manifest
    assert parsed.manifest.name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_comes_with_all_that_its_manifest_names(name: str):
    folder = samples_folder() / name
    manifest = load_manifest(manifest_text(name), f"{name}.yaml", {})
    wanted = {path.relative_to(folder).as_posix() for path in plan.files(manifest, folder)}
    assert wanted
    assert wanted | {f"spicepods/{name}.yaml"} <= app_files(folder).keys()


@pytest.mark.parametrize("name", ["gardener", "logpruner", "trader"])
def test_reward_tests_of_a_sample_pass(name: str):
    manifest = load_manifest(manifest_text(name), f"{name}.yaml", {})
    answers = reward_tests(
        {
            "fields": list(manifest.fields),
            "actions": list(manifest.action_names),
            "rewards": plan.rewards(manifest, samples_folder() / name),
            "simulation": plan.simulation(manifest),
            "tests": plan.reward_tests(manifest),
        },
        LocalReport(),
    )
    assert answers
    assert [answer for answer in answers if not answer["passed"]] == []


@pytest.mark.parametrize(("name", "program", "data"), GENERATORS)
def test_the_data_of_a_sample_can_be_made_again(name: str, program: str, data: str, tmp_path: Path):
    same = generate(name, program, tmp_path / "same")
    assert same == (samples_folder() / name / data).read_bytes()
    other = generate(name, program, tmp_path / "other", "--seed", "2")
    assert other != same
    assert other.count(b"\n") == same.count(b"\n")


@pytest.mark.slow
@pytest.mark.numbers
@pytest.mark.parametrize("name", NAMES)
def test_a_policy_beats_the_best_constant_action_on_series_it_has_not_seen(
    name: str, bench: ModuleType
):
    """Judged by the constant action that turns out best on the unseen series itself."""
    sample = bench.SAMPLES[name]
    learned = bench.learn(sample)
    assert learned.policy.evaluation["beats_best_constant"]
    for seed in sample.unseen[: 1 if name == "trader" else 2]:
        judged = bench.judge(learned, seed)
        assert judged.best_constant < judged.score <= judged.oracle
        assert judged.regret_closed > 0


def test_the_trader_runs_into_its_laws(bench: ModuleType):
    """Always buying the most soon breaks a law: the purse is small enough to matter."""
    sample = bench.SAMPLES["trader"]
    manifest = load_manifest(manifest_text("trader"), "trader.yaml", {})
    with tempfile.TemporaryDirectory() as out:
        task = bench.assignment_of(manifest, sample.folder, Path(out)).simulated_task()
        stepper = bench.Stepper(bench.Simulator(task.world))
        steps = task.split.every
        for action in ("buy", "large_buy", "sell"):
            index = task.world.actions.index(action)
            followed = stepper.follow(steps, [index] * len(steps))
            assert followed.unlawful_steps > len(steps) / 2
            assert (followed.local >= 0).all()


def test_the_influxdb_variant_of_serverops_is_a_manifest_too():
    readme = (samples_folder() / "serverops" / "README.md").read_text()
    given = yaml.safe_load(readme.split("```yaml\n")[1].split("```")[0])
    own = yaml.safe_load(manifest_text("serverops"))
    del own["params"]["epoch_time"]
    own["dataspaces"] = given["dataspaces"]
    own["training"] |= given["training"]
    environment = {"SPICE_INFLUXDB_TOKEN": "secret"}
    parsed = parse_manifest(yaml.safe_dump(own, sort_keys=False), "serverops.yaml", environment)
    assert parsed.problems == ()
