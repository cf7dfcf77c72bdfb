"""pip's configuration as uv's variables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spice_engine.runs.pip_configuration import configuration_files, uv_variables


def test_variables_of_pip_become_those_of_uv() -> None:
    environment = {
        "PIP_INDEX_URL": "https://one.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://two.example/simple https://three.example/simple",
        "PIP_FIND_LINKS": "/wheels /more",
        "PIP_TRUSTED_HOST": "one.example",
        "PIP_CERT": "/etc/own.pem",
        "PIP_NO_INDEX": "true",
        "PIP_PRE": "0",
    }
    assert uv_variables(environment, []) == {
        "UV_DEFAULT_INDEX": "https://one.example/simple",
        "UV_EXTRA_INDEX_URL": "https://two.example/simple https://three.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INSECURE_HOST": "one.example",
        "SSL_CERT_FILE": "/etc/own.pem",
        "UV_NO_INDEX": "1",
    }


@pytest.mark.parametrize(
    ("pip", "uv"),
    [
        ("PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("PIP_INDEX_URL", "UV_INDEX_URL"),
        ("PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("PIP_FIND_LINKS", "UV_FIND_LINKS"),
        ("PIP_CERT", "SSL_CERT_DIR"),
        ("PIP_PROXY", "https_proxy"),
    ],
)
def test_what_uv_is_told_stays(pip: str, uv: str) -> None:
    assert uv_variables({pip: "theirs", uv: "ours"}, []) == {}


def test_files_are_read_the_strongest_last_and_below_variables(tmp_path: Path) -> None:
    weak, strong = tmp_path / "weak.conf", tmp_path / "strong.conf"
    weak.write_text("[global]\nindex-url = https://weak.example\nfind_links = /a\n  /b\n")
    strong.write_text("[install]\nindex_url = https://strong.example\n[global]\nindex-url = no\n")
    found = uv_variables({}, [weak, strong, tmp_path / "missing.conf"])
    assert found == {"UV_DEFAULT_INDEX": "https://strong.example", "UV_FIND_LINKS": "/a,/b"}
    above = {"PIP_INDEX_URL": "https://variable.example"}
    assert uv_variables(above, [strong])["UV_DEFAULT_INDEX"] == "https://variable.example"


@pytest.mark.parametrize("text", [b"index-url = no section\n", b"\xff\xfe[global]", b"[global\n"])
def test_a_file_that_is_none_is_passed_over(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "pip.conf").write_bytes(text)
    assert uv_variables({}, [tmp_path / "pip.conf"]) == {}


def test_pips_own_places_are_looked_into(tmp_path: Path) -> None:
    places = configuration_files({"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/some/pip.conf"})
    assert Path("/etc/pip.conf") in places
    assert tmp_path / ".pip" / "pip.conf" in places
    assert places[-1] == Path("/some/pip.conf")
    assert configuration_files({"PIP_CONFIG_FILE": os.devnull}) == []
