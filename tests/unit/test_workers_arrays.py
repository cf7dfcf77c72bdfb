"""Arrays handed over as files: what comes back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spice_engine.errors import InvalidData, SpiceError, StorageError
from spice_engine.workers.arrays import ArrayRef, clean, discard, load, save

DTYPES = st.one_of(
    hnp.floating_dtypes(),
    hnp.integer_dtypes(),
    hnp.boolean_dtypes(),
    hnp.unicode_string_dtypes(max_len=5),
    hnp.datetime64_dtypes(),
)


@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)))
def test_what_is_saved_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray
) -> None:
    folder = tmp_path_factory.getbasetemp() / "round-trip"
    ref = ArrayRef.from_dict(json.loads(json.dumps(save(folder, array).as_dict())))
    back = load(ref)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.ascontiguousarray(back).tobytes() == np.ascontiguousarray(array).tobytes()
    discard(ref)
    assert not Path(ref.path).exists()


def test_any_memory_order_and_names(tmp_path: Path) -> None:
    array = np.arange(24, dtype=">i4").reshape(2, 3, 4)
    for view in (array.T, array[:, ::2], np.asfortranarray(array)):
        ref = save(tmp_path / "new" / "folder", view, name="times")
        np.testing.assert_array_equal(load(ref), view)
        assert Path(ref.path).name.startswith("times-")
        assert ref.nbytes == view.nbytes
    assert not list(tmp_path.rglob("*part"))


def test_a_loaded_array_cannot_be_written_and_outlives_its_file(tmp_path: Path) -> None:
    ref = save(tmp_path, np.ones(1000))
    array = load(ref)
    discard(ref)
    discard(ref)
    assert array.sum() == 1000
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2
    with pytest.raises(ValueError, match="read-only"):
        load(save(tmp_path, np.ones(0)))[...] = 1


def test_a_truncated_altered_or_missing_file_is_refused(tmp_path: Path) -> None:
    ref = save(tmp_path, np.arange(100.0))
    path = Path(ref.path)
    raw = bytearray(path.read_bytes())
    raw[5] ^= 1
    path.write_bytes(raw)
    with pytest.raises(InvalidData, match="altered"):
        load(ref)
    assert load(ref, verify=False).shape == (100,)
    path.write_bytes(raw[:-1])
    with pytest.raises(InvalidData, match="799 bytes where 800"):
        load(ref, verify=False)
    discard(ref)
    with pytest.raises(InvalidData, match="No such file"):
        load(ref)


@pytest.mark.parametrize(
    "array",
    [np.array([object()]), np.zeros(2, dtype=[("a", "f8")]), np.array([None, "x"])],
)
def test_arrays_that_are_no_plain_bytes_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(InvalidData):
        save(tmp_path, array)


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["path", "dtype", "shape", "checksum"]), inner)
        ),
        max_leaves=8,
    )
)
def test_a_reference_of_the_wrong_form_is_refused(data: object) -> None:
    try:
        ref = ArrayRef.from_dict(data)
    except SpiceError as error:
        assert isinstance(error, InvalidData)  # noqa: PT017 - a valid one is no failure
    else:
        assert ref.nbytes >= 0


def test_no_object_can_be_smuggled_in_by_a_reference() -> None:
    with pytest.raises(InvalidData):
        ArrayRef.from_dict({"path": "/x", "dtype": "|O", "shape": [1], "checksum": 0})


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="24 bytes could not be written"):
        save(tmp_path / "file", np.ones(3))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_cleaning_removes_hand_over_files_only(tmp_path: Path) -> None:
    save(tmp_path, np.ones(3))
    (tmp_path / "half.array-part").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("mine")
    assert clean(tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert clean(tmp_path / "nowhere") == 0
