"""Archives from elsewhere: dangerous, damaged and oversized ones leave nothing behind."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.errors import SpiceError, TooLarge
from spice_engine.pods.safe_zip import InvalidPackage, Limits, unpack
from tests.examples import examples


def packed(files: dict[str, bytes | str], method: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """An archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out


def refused(source: io.BytesIO, tmp_path: Path, limits: Limits | None = None) -> SpiceError:
    """The error of an archive of which nothing may be written, anywhere."""
    into = tmp_path / "inside" / "into"
    with pytest.raises((InvalidPackage, TooLarge)) as caught:
        unpack(source, into, "x.zip", limits or Limits())
    assert not into.exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == []
    return caught.value


def test_files_and_folders_are_unpacked_as_they_are(tmp_path: Path) -> None:
    source = packed({"a/b/c.yaml": "name: c", "a/": "", "z.py": b"\0\1"}, zipfile.ZIP_DEFLATED)
    assert unpack(source, tmp_path / "into", "x.zip") == ["a/b/c.yaml", "z.py"]
    assert (tmp_path / "into" / "a" / "b" / "c.yaml").read_text() == "name: c"
    assert (tmp_path / "into" / "z.py").read_bytes() == b"\0\1"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "a/../../evil.py",
        "/etc/evil",
        "C:/evil",
        "..\\evil.py",
        "a//b",
        "./a",
        ".git/hooks/post-checkout",
        "data/.hidden",
        "a\nb",
        "trailing./a",
        "space /a",
        "x" * 201,
        "/".join("abcdefghijklmnopq"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    assert refused(packed({"good.txt": "x", name: "evil"}), tmp_path).code == "invalid_package"


def test_a_name_is_not_cut_at_a_nul(tmp_path: Path) -> None:
    data = packed({"a_nul.py": "x"}).getvalue().replace(b"a_nul", b"a\0nul")
    assert "characters" in str(refused(io.BytesIO(data), tmp_path))


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert "link or device" in str(refused(out, tmp_path))


@pytest.mark.parametrize(
    "names", [("a", "a"), ("A.txt", "a.TXT"), ("\u00e9", "e\u0301"), ("a", "a/b"), ("D/x", "d/y")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_are_one_file_somewhere_are_refused(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    for order in (names, names[::-1]):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name in order:
                archive.writestr(name, name)
        assert "cannot both be files" in str(refused(out, tmp_path))


def test_an_archive_cannot_fill_the_disk(tmp_path: Path) -> None:
    bomb = packed({"zeros": bytes(20_000_000)}, zipfile.ZIP_DEFLATED)
    assert "far more than it should" in str(refused(bomb, tmp_path))
    assert unpack(packed({"zeros": bytes(8_000_000)}, zipfile.ZIP_DEFLATED), tmp_path / "b", "x")
    (tmp_path / "b" / "zeros").unlink()
    refused(packed({"a": bytes(600), "b": bytes(600)}), tmp_path, Limits(unpacked=1000))
    refused(packed({f"f{i}": "" for i in range(11)}), tmp_path, Limits(entries=10))
    refused(packed({"a": bytes(5000)}), tmp_path, Limits(packed=4000))
    refused(packed({"x" * 100: ""}), tmp_path, Limits(listing=100))


def test_what_an_archive_says_of_its_sizes_is_not_believed(tmp_path: Path) -> None:
    data = bytearray(packed({"a": bytes(5000)}, zipfile.ZIP_DEFLATED).getvalue())
    listing = data.find(b"PK\x01\x02")
    data[listing + 24 : listing + 28] = (10).to_bytes(4, "little")
    refused(io.BytesIO(bytes(data)), tmp_path, Limits(unpacked=4000))


def test_damage_is_noticed(tmp_path: Path) -> None:
    good = packed({"a.txt": "hello world"}).getvalue()
    for data in (b"", b"PK", good[:-5], good[10:], good.replace(b"hello", b"jello"), b"x" * 100):
        refused(io.BytesIO(data), tmp_path)
    encrypted = bytearray(good)
    encrypted[encrypted.find(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in str(refused(io.BytesIO(bytes(encrypted)), tmp_path))


def test_zips_in_it_stay_closed(tmp_path: Path) -> None:
    inner = packed({"../evil": "x"}).getvalue()
    assert unpack(packed({"inner.zip": inner}), tmp_path / "into", "x.zip") == ["inner.zip"]
    assert (tmp_path / "into" / "inner.zip").read_bytes() == inner


GOOD = packed({"a/b.txt": "some text " * 20, "c.py": "x = 1"}, zipfile.ZIP_DEFLATED).getvalue()


@settings(deadline=None, max_examples=examples(150))
@given(
    changes=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, len(GOOD)),
)
def test_any_damage_is_an_error_of_ours_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(GOOD)
    for at, value in changes:
        data[at] = value
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        unpack(io.BytesIO(bytes(data[:cut] if cut % 3 == 0 else data)), folder / "into", "x.zip")
    except (InvalidPackage, TooLarge):
        assert list(folder.iterdir()) == []
