"""What of a folder is left out: as git itself says, and as the whole of the patterns says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath

from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.runs.folder_ignore import FolderIgnore, _parsed, _Rules

IGNORED = """\
# a comment
*.log
build/
/data/raw
docs/**/out
!keep.log
**/deep/x.bin
a?[b-c]
sub/*.tmp
cache
"""
FILES = """
a.log
keep.log
build/x
src/build/y
data/raw/z
src/data/raw/z
docs/p/q/out/w
docs/out
src/deep/x.bin
deep/y.bin
ab
aac
xab
sub/a.tmp
src/sub/a.tmp
cache
src/cache/f
normal.py
logs/normal.txt
inner/b.log
inner/c.txt
inner/keep/d.tmp
inner/over/data
ünder/x.log
"""


def kept(root: Path) -> set[str]:
    ignore = FolderIgnore(root, most_bytes=2**30)
    found: set[str] = set()

    def walk(folder: PurePosixPath) -> None:
        for path in sorted((root / folder).iterdir()):
            at = folder / path.name
            if ignore(at, path.is_dir()):
                continue
            if path.is_dir():
                walk(at)
            else:
                found.add(str(at))

    walk(PurePosixPath())
    return found


def test_as_git_does(tmp_path: Path) -> None:
    for name in FILES.split():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / ".gitignore").write_text(IGNORED)
    (tmp_path / "inner" / ".gitignore").write_text("!b.log\n/over\n*.tmp\n")
    git = ["git", "-c", "core.excludesFile=", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    command = [*git, "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert kept(tmp_path) == set(listed.split("\0")) - {""}


LINES = st.lists(
    st.text("ab*?/!.\\", min_size=1, max_size=7).filter(lambda line: line.strip()),
    min_size=1,
    max_size=5,
)
NAMES = st.lists(
    st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."}),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(LINES, NAMES, st.booleans())
def test_what_is_told_at_once_is_what_all_patterns_say(
    lines: list[str], names: list[str], is_folder: bool
) -> None:
    spec = _parsed(lines)
    if spec is None:
        return
    above = ["/".join(names[:count]) + "/" for count in range(1, len(names))]
    if any(spec.check_file(folder).include is not None for folder in above):
        return  # left out, or taken back, with all that is in it
    slash = "/" if is_folder else ""
    path = "/".join(names) + slash
    expected = spec.check_file(path).include
    assert _Rules(spec, 0).matched(path, names[-1] + slash) == expected


def test_lines_that_are_no_patterns_take_nothing_from_the_others(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"*.log\n[z-a]\n!\n/\nbad[\n**\\\n\xff\xfe\nsecret\n")
    for name in ("a.log", "secret", "code"):
        (tmp_path / name).touch()
    assert kept(tmp_path) == {"code", ".gitignore"}


def test_files_of_patterns_that_are_none_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".gitignore")
    (tmp_path / ".spiceignore").symlink_to("/dev/zero")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / ".gitignore").mkdir()
    (tmp_path / "inner" / ".spiceignore").symlink_to(".spiceignore")
    (tmp_path / "inner" / "code").touch()
    assert "inner/code" in kept(tmp_path)
