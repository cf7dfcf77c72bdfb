"""Settings: their order, and that every wrong value is told with its place."""

from pathlib import Path

import pytest

from spice_engine.errors import InvalidSettings
from spice_engine.settings import Settings, describe, load_settings


def write(folder: Path, text: str) -> Path:
    (folder / "spice.config.yaml").write_text(text)
    return folder


def test_defaults_then_file_then_environment_then_flags(tmp_path: Path):
    write(tmp_path, "http_port: 9000\nlog_level: error\nidle_minutes: 3\n")
    environment = {"SPICE_TUI_LOG_LEVEL": "debug", "SPICE_TUI_IDLE_MINUTES": "4"}
    loaded = load_settings(tmp_path, environment, {"idle_minutes": 5.0, "http_host": None})
    assert loaded.values.http_port == 9000
    assert loaded.values.log_level == "debug"
    assert loaded.values.idle_minutes == 5.0
    assert loaded.sources["http_port"] == "spice.config.yaml:1"
    assert loaded.sources["log_level"] == "$SPICE_TUI_LOG_LEVEL"
    assert loaded.sources["idle_minutes"] == "--idle-minutes"
    assert loaded.sources["trainers"] == "default"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trainers: 1\nhttp_prot: 1\n",
            "spice.config.yaml:2:1: .*http_prot.* Did you mean 'http_port'",
        ),
        ("http_port: many\n", "spice.config.yaml:1:12: .*'many'"),
        ("trainers: 1\ntrainers: 2\n", "spice.config.yaml:2:1: trainers is set twice"),
        ("- trainers\n", "spice.config.yaml:1:1: must be a map"),
        ("trainers: [unclosed\n", "spice.config.yaml:2:1: not YAML"),
        ("loaders: 0\n", "spice.config.yaml:1:10: .*greater than or equal to 1"),
        ("drain_seconds: -1\n", "spice.config.yaml:1:16: "),
        ("idle_minutes: .nan\n", "spice.config.yaml:1:15: "),
        ("http_port: 70000\n", "spice.config.yaml:1:12: "),
        ("idle_minutes: 2026-13-45\n", "spice.config.yaml:1:15: "),
        ("on_shutdown: explode\n", "spice.config.yaml:1:14: "),
        ("tls_cert: cert.pem\n", "tls_key is not set"),
    ],
)
def test_a_wrong_file_says_line_and_column(tmp_path: Path, text: str, message: str):
    with pytest.raises(InvalidSettings) as caught:
        load_settings(write(tmp_path, text), {})
    import re

    assert re.search(message, str(caught.value)), str(caught.value)


def test_wrong_variables_and_flags_are_named(tmp_path: Path):
    with pytest.raises(InvalidSettings, match="SPICE_TUI_HTTP_PORT"):
        load_settings(tmp_path, {"SPICE_TUI_HTTP_PORT": "eighty"})
    with pytest.raises(InvalidSettings, match="--log-level"):
        load_settings(tmp_path, {}, {"log_level": "loud"})


def test_lists_come_from_variables_by_commas_and_every_setting_has_a_meaning(tmp_path: Path):
    loaded = load_settings(tmp_path, {"SPICE_TUI_ALLOWED_HOSTS": "a.example, b.example"})
    assert loaded.values.allowed_hosts == ["a.example", "b.example"]
    assert all(meaning for _, _, meaning in describe(Settings()))


def test_the_originals_development_mode_is_no_error(tmp_path: Path):
    assert load_settings(write(tmp_path, "development_mode: true\n"), {}).values == Settings()
