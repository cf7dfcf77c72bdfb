"""Which environments are refused before anything is done."""

from __future__ import annotations

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import environment_wishes


@pytest.mark.parametrize("between", [" ", "  ", "=", "= ", "\t"])
@pytest.mark.parametrize("option", ["-r", "-c", "--requirement", "--constraint"])
def test_a_whole_path_to_more_requirements_is_taken_however_it_is_written(
    option: str, between: str
) -> None:
    environment_wishes.check(Dependencies(requirements=f"{option}{between}/srv/more.txt\n"))
    environment_wishes.check(Dependencies(requirements=f"{option}{between}https://host/more.txt\n"))
    with pytest.raises(InvalidRequest, match="names another file"):
        environment_wishes.check(Dependencies(requirements=f"{option}{between}more.txt\n"))
