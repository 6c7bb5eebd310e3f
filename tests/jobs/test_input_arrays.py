"""Inputs without labels in one file: used where they lie, split for good, refused by name."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.spec import Arrays, Data, InputSpec, Model
from secateur_jobs.data import input_arrays
from secateur_jobs.data.codeless import notes_of, splits
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.batching import ArrayDataset, gather

pytestmark = pytest.mark.paddle
ONE = Model(factory="m:net", trained=True, inputs=[InputSpec(name="x", shape=[1, 2, 3])])
TWO = Model(
    factory="m:net",
    trained=True,
    inputs=[InputSpec(name="ids", shape=[1, 4], dtype="int64"), InputSpec(name="x", shape=[1, 2, 3])],
)
X = np.arange(60, dtype=np.float32).reshape(10, 2, 3)
IDS = np.arange(40, dtype=np.int64).reshape(10, 4)


def _data(path: Path | str, **fields: Any) -> Data:
    return Data(arrays=Arrays(uri=str(path), **fields))


def _saved(folder: Path, *, packed: bool = False, **arrays: np.ndarray) -> Path:
    path = folder / "inputs.npz"
    (np.savez_compressed if packed else np.savez)(path, **arrays)
    return path


def _npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "inputs.npy", array)
    return folder / "inputs.npy"


def test_each_sample_is_in_one_part_and_always_in_the_same(tmp_path: Path) -> None:
    data = _data(_npy(tmp_path, X), eval_share=0.3)
    found = splits(data, ONE, seed=0)
    firsts = [part.arrays[0][:, 0, 0].tolist() for part in found]
    assert [len(part) for part in firsts] == [7, 3]
    assert sorted(firsts[0] + firsts[1]) == X[:, 0, 0].tolist()
    assert found.train[0][1].size == 0  # no label
    again, other = (splits(data, ONE, seed=seed) for seed in (0, 1))
    assert np.array_equal(again.eval.arrays[0], found.eval.arrays[0])
    assert not np.array_equal(other.eval.arrays[0], found.eval.arrays[0])
    assert notes_of(data, ONE, found) == ["of 10 samples 7 are trained on and 3 measured on"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("x", [X, X.astype(">f4"), np.asfortranarray(X)], ids=["C", "big-endian", "Fortran"])
def test_inputs_are_found_by_name_in_whatever_order_they_are_stored(
    x: np.ndarray, packed: bool, tmp_path: Path
) -> None:
    path = _saved(tmp_path, packed=packed, labels=np.zeros(10), x=x, ids=IDS)
    found = splits(_data(path), TWO, seed=0)
    ids, values = (np.concatenate([part.arrays[column] for part in found]) for column in (0, 1))
    order = np.argsort(ids[:, 0])
    assert np.array_equal(ids[order], IDS)
    assert np.array_equal(values[order], X)
    assert [array.dtype.str for array in (ids, values)] == ["<i8", "<f4"]


@pytest.mark.parametrize("stored", ["inputs.npy", "inputs.npz"])
def test_a_large_file_is_used_where_it_lies(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secateur_jobs.data.apart._KEPT", 100)
    path = _npy(tmp_path, X) if stored.endswith(".npy") else _saved(tmp_path, x=X)
    found = splits(_data(path), ONE, seed=0)
    assert not any(isinstance(part, ArrayDataset) for part in found)
    mapped = found.train._arrays["x"]
    assert not mapped.flags.owndata
    assert not mapped.flags.writeable
    values = np.concatenate([gather(part, range(len(part)))[0] for part in found])
    assert np.array_equal(np.sort(values, axis=0), X)


def test_a_file_in_a_bucket_gives_the_same(tmp_path: Path) -> None:
    import fsspec

    path = _saved(tmp_path, x=X)
    with fsspec.open("memory://arrays/inputs.npz", "wb") as file:
        file.write(path.read_bytes())
    here, there = (splits(_data(uri), ONE, seed=0) for uri in (path, "memory://arrays/inputs.npz"))
    assert all(np.array_equal(a.arrays[0], b.arrays[0]) for a, b in zip(here, there, strict=True))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"y": X, "ids": IDS}, r"inputs.npz has no array 'x', an input of the model; there is: ids, y"),
        ({"x": X[..., None], "ids": IDS}, r"'x' has shape \[10, 2, 3, 1\], .* says \[samples, 2, 3\]"),
        ({"x": X[0, 0, 0], "ids": IDS}, r"'x' has shape \[\], .* says \[samples, 2, 3\]"),
        ({"x": X, "ids": IDS.astype("int32")}, r"'ids' is int32, .* says int64; .* astype\('int64'\)"),
        ({"x": X.astype(object), "ids": IDS}, r"'x' is object, .* says float32"),
        ({"x": X[:9], "ids": IDS}, r"different numbers of samples: 'ids' 10, 'x' 9"),
        ({"x": X[:1], "ids": IDS[:1]}, r"inputs.npz has 1 sample; at least 2 are needed"),
        ({"x": X[:0], "ids": IDS[:0]}, r"inputs.npz has no samples; at least 2 are needed"),
    ],
)
def test_arrays_that_do_not_fit_the_model_are_named(
    arrays: dict[str, np.ndarray], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=f"spec.data.arrays: .*{said}"):
        splits(_data(_saved(tmp_path, **arrays)), TWO, seed=0)


@pytest.mark.parametrize("kept", [0, 100])
def test_a_sample_that_is_not_finite_is_named_by_its_number_in_the_file(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = X.copy()
    wrong[7, 1, 2] = np.nan
    monkeypatch.setattr("secateur_jobs.data.apart._KEPT", kept * 2**20)
    data = _data(_npy(tmp_path, wrong))
    with pytest.raises(
        InvalidInput, match=r"spec.data.arrays: sample 7 of 'x' holds values that are not fin"
    ):
        _all_of(data)


def _all_of(data: Data) -> None:
    for part in splits(data, ONE, seed=0):
        gather(part, range(len(part)))


def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    for path in (_npy(tmp_path, X), _saved(tmp_path, x=X), _saved(tmp_path, x=X, packed=True)):
        content = path.read_bytes()
        for length in range(0, len(content), 7):
            path.write_bytes(content[:length])
            with pytest.raises(
                InvalidInput, match=r"spec.data.arrays: .* (is truncated or no .np|is cut short)"
            ):
                splits(_data(path), ONE, seed=0)


def _refusal(data: Data) -> str:
    try:
        splits(data, ONE, seed=0)
    except InvalidInput as error:
        return error.message
    return ""


def test_damaged_bytes_are_refused_or_read_but_raise_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for path in (_npy(tmp_path, X), _saved(tmp_path, x=X), _saved(tmp_path, x=X, packed=True)):
        content = path.read_bytes()
        for _ in range(300):
            damaged = np.frombuffer(content, np.uint8).copy()
            damaged[random.integers(0, len(content), 3)] = random.integers(0, 256, 3)
            path.write_bytes(damaged.tobytes())
            said = _refusal(_data(path))
            assert not said or said.startswith("spec.data.arrays: ")


def test_what_unpacks_to_too_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_arrays, "_LARGEST", 2**20)
    path = _saved(tmp_path, packed=True, x=np.zeros((100_000, 2, 3), np.float32))
    assert path.stat().st_size < 2**15
    with pytest.raises(
        InvalidInput, match=r"has 2 MiB once unpacked, at most 1 are read; save it by numpy.savez"
    ):
        splits(_data(path), ONE, seed=0)


def test_an_entry_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path, packed=True, x=np.zeros((1000, 2, 3), np.float32))
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("x.npy").file_size
    path.write_bytes(path.read_bytes().replace(size.to_bytes(4, "little"), (200).to_bytes(4, "little")))
    with pytest.raises(
        InvalidInput, match=r"inputs.npz is truncated or no .npz file: Bad CRC|'x' is cut short"
    ):
        splits(_data(path), ONE, seed=0)


def test_no_file_and_another_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"spec.data.arrays.uri: there is no file .*none.npy"):
        splits(_data(tmp_path / "none.npy"), ONE, seed=0)
    path = _npy(tmp_path, X)
    with pytest.raises(InvalidInput, match=r"spec.data.arrays.sha256: .* another file"):
        splits(_data(path, sha256="ab" * 32), ONE, seed=0)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(splits(_data(path, sha256=digest), ONE, seed=0).train) == 7
