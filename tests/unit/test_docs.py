"""What the documentation shows must be true of the code."""

import re
import subprocess
import sys

from spice_engine.pods.manifest import parse_manifest
from tests.conftest import REPOSITORY


def test_the_manifest_that_the_docs_show_has_no_problems():
    text = (REPOSITORY / "docs" / "manifest.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    parsed = parse_manifest(example[1], "docs.yaml")
    assert parsed.problems == ()
    assert parsed.manifest is not None
    assert parsed.manifest.simulated


def test_the_generated_pages_are_up_to_date():
    """If this fails: python docs/generate.py."""
    generate = [sys.executable, str(REPOSITORY / "docs" / "generate.py"), "--check"]
    done = subprocess.run(generate, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readmes_commands_are_there():
    text = (REPOSITORY / "README.md").read_text()
    for command in ("./quickstart", "bash .ci/run"):
        assert f"\n{command}\n" in text
        assert (REPOSITORY / command.removeprefix("bash ")).is_file()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (REPOSITORY / link).exists(), link
