"""Command lines in files: `--from-file` and `--save-command`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
import yaml

from spice_tui.cli.command_file import FileCommand, FileLineCommand

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    seen: dict[str, Any] = {}
    app = typer.Typer(add_completion=False)

    @app.command(cls=FileCommand)
    def command(
        target: Annotated[str, typer.Argument(metavar="SERVER")],
        words: Annotated[list[str] | None, typer.Argument(metavar="[WORD]...")] = None,
        *,
        pip: Annotated[list[str] | None, typer.Option("--pip")] = None,
        env: Annotated[list[str] | None, typer.Option("--env", "-e", metavar="KEY=VALUE")] = None,
        mount: Annotated[list[str] | None, typer.Option("--mount", "-m", metavar="A[:B]")] = None,
        gpu_limit: Annotated[int | None, typer.Option("--gpu-limit")] = None,
        share: Annotated[float | None, typer.Option("-s", "--share")] = None,
        debug: Annotated[bool, typer.Option("--debug")] = False,
        batch: Annotated[bool | None, typer.Option("--batch/--no-batch")] = None,
    ) -> None:
        seen.update({name: value for name, value in locals().items() if name != "seen"})

    def run(*arguments: str, **file: Any) -> dict[str, Any]:
        seen.clear()
        words = list(arguments)
        if file:
            (tmp_path / "file.yaml").write_text(yaml.safe_dump(file))
            words += ["--from-file", "file.yaml"]
        typer.main.get_command(app).main(args=words, standalone_mode=False)
        return {name: value for name, value in seen.items() if value not in (None, [], False)}

    return run


def test_options_and_arguments_come_from_the_file(call: Call) -> None:
    found = call(
        **{"SERVER": "quotes", "words": ["a", "b c"], "gpu-limit": 2, "s": 0.5, "debug": True},
        pip=["numpy pandas", "'scikit-learn>1'"],
    )
    assert found == {
        "target": "quotes",
        "words": ["a", "b", "c"],
        "gpu_limit": 2,
        "share": 0.5,
        "debug": True,
        "pip": ["numpy", "pandas", "scikit-learn>1"],
    }


def test_a_list_may_be_one_line_and_pairs_may_be_a_map(call: Call) -> None:
    found = call("x", pip="a 'b c'", env={"A": "1 2", "B": 3}, mount={"runs/3": "data"})
    assert found["pip"] == ["a", "b c"]
    assert found["env"] == ["A=1 2", "B=3"]
    assert found["mount"] == ["runs/3:data"]


def test_the_command_line_goes_before_the_file_option_by_option(call: Call) -> None:
    found = call("x", "--pip", "mine", "--gpu-limit", "1", pip=["theirs", "more"], share=2)
    assert (found["pip"], found["gpu_limit"], found["share"]) == (["mine"], 1, 2.0)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ({"batch": True}, True),
        ({"batch": False}, False),
        ({"no-batch": True}, False),
        ({"no_batch": False}, True),
    ],
)
def test_a_switch_goes_by_either_name(call: Call, file: dict[str, bool], expected: bool) -> None:
    assert call("x", **file).get("batch", False) is expected


def test_a_flag_that_is_false_or_an_option_that_is_empty_is_not_given(call: Call) -> None:
    assert call("x", debug=False, share=None) == {"target": "x"}


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ({"no-such": 1}, "no such option: no-such"),
        ({"debug": "yes"}, "debug: must be true or false"),
        ({"share": [1]}, "share: must be a text or a number"),
        ({"pip": "'open"}, "pip: no closing quotation"),
        ({"words": ["a"]}, "All positional arguments must either"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(call: Call, file: dict[str, Any], said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        call("x", **file)


@pytest.mark.parametrize("text", ["- a list\n", "{open", "a: [\n"])
def test_a_file_that_is_no_map_is_refused(call: Call, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(typer.BadParameter):
        call("x", "--from-file", "bad.yaml")
    with pytest.raises(typer.BadParameter, match="No such file"):
        call("x", "--from-file", "missing.yaml")


def test_json_is_read_too(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text('{"server": "x",\t"debug": true}')
    assert call("--from-file", "file.json") == {"target": "x", "debug": True}


def test_what_was_used_is_saved_and_gives_the_same_again(call: Call, tmp_path: Path) -> None:
    used = ["x", "two words", "--pip", "a b", "-e", "K=v w", "--no-batch", "-s", "0.5"]
    given = call(*used, "--save-command", "saved.yaml")
    saved = yaml.safe_load((tmp_path / "saved.yaml").read_text())
    assert set(saved) == {"target", "words", "pip", "env", "batch", "share"}
    assert call("--from-file", "saved.yaml") == given
    assert call("--from-file", "saved.yaml", "--debug", "--save-command", "again.yaml")["debug"]
    assert yaml.safe_load((tmp_path / "again.yaml").read_text()) == {**saved, "debug": True}


def test_both_options_may_follow_a_quoted_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[list[str], str]] = []
    app = typer.Typer(add_completion=False)

    @app.command(cls=FileLineCommand, context_settings={"allow_interspersed_args": False})
    def run(
        command: Annotated[list[str], typer.Argument(metavar="COMMAND...")],
        *,
        name: Annotated[str, typer.Option("--name")] = "",
    ) -> None:
        seen.append((command, name))

    def call(*words: str) -> None:
        typer.main.get_command(app).main(args=list(words), standalone_mode=False)

    call("python train.py", "--name", "try", "--save-command", "file.yaml")
    call("--from-file", "file.yaml")
    call("python other.py", "--save-command=second.yaml")
    call("python", "train.py", "--save-command", "theirs.yaml")
    assert seen == [
        (["python train.py"], "try"),
        (["python train.py"], "try"),
        (["python other.py"], ""),
        (["python", "train.py", "--save-command", "theirs.yaml"], ""),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.yaml", "second.yaml"]
