"""An engine with a good pod that bad ones stand beside; see `two_pods.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import EngineFixture, wait_for
from tests.e2e import two_pods


@pytest.fixture(scope="module")
def trained(
    request: pytest.FixtureRequest,
    shared_engine: EngineFixture,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[EngineFixture]:
    """An engine whose sample pod has learned. A module whose tests have trainings that never end
    says in TRAINING_SECONDS how long one may take; with others a training takes as long as it does
    on a busy machine, for nothing would train the pod once more."""
    settings = ""
    if (seconds := getattr(request.module, "TRAINING_SECONDS", None)) is not None:
        settings = f"training_seconds: {seconds}\n"
    with pytest.MonkeyPatch.context() as patch:
        # Which folders are trusted is kept there.
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        shared_engine.stop()
        (shared_engine.location.root / "spice.config.yaml").write_text(settings)
        shared_engine.start()
        shared_engine.call("samples.add", name="samples/serverops")
        two_pods.learned(shared_engine, two_pods.GOOD)
        yield shared_engine


@pytest.fixture
def shared(trained: EngineFixture) -> Iterator[EngineFixture]:
    """That engine; the good pod serves the same after each test, whatever stood beside it."""
    pid, before = trained.pid, two_pods.answer(trained)
    version = two_pods.pod(trained)["policy_version"]
    logged = len(trained.location.log.read_text())
    yield trained
    assert trained.pid == pid
    assert two_pods.answer(trained) == before
    assert two_pods.pod(trained)["policy_version"] >= version
    for path in two_pods.folder(trained).iterdir():
        if path.name != f"{two_pods.GOOD}.yaml":
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    wait_for(lambda: two_pods.pods(trained) == [two_pods.GOOD], "the bad pods to be forgotten")
    log = trained.location.log.read_text()[logged:]
    assert "Traceback" not in log, log
