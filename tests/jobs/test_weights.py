"""Weights files: every format that is taken, and every reason for which a file is refused."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from secateur_api.conditions import Reason
from secateur_api.spec import Weights
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.weights import load_weights
from secateur_jobs.zoo.digits import residual_net

pytestmark = pytest.mark.paddle
_Save = Callable[[paddle.nn.Layer, Path], None]


def _arrays(net: paddle.nn.Layer) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in net.state_dict().items()}


def _net(seed: int) -> paddle.nn.Layer:
    seed_everything(seed)
    return residual_net(width=8)


def _safetensors(net: paddle.nn.Layer, path: Path) -> None:
    path.write_bytes(safetensors.numpy.save(_arrays(net)))


def _npz(net: paddle.nn.Layer, path: Path) -> None:
    np.savez(path, **_arrays(net))


def _paddle(protocol: int) -> _Save:
    return lambda net, path: paddle.save(net.state_dict(), str(path), protocol=protocol)


def _pickled_tensors(net: paddle.nn.Layer, path: Path) -> None:
    """As a dict of arrays that plain pickle wrote."""
    path.write_bytes(pickle.dumps(_arrays(net)))


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("w.safetensors", _safetensors),
        ("w.npz", _npz),
        ("w.pdparams", _paddle(4)),
        ("w.pdparams", _paddle(2)),
        ("w.pdparams", _pickled_tensors),
    ],
)
def test_weights_of_every_format_arrive_exactly(name: str, save: _Save, tmp_path: Path) -> None:
    source, target = _net(1), _net(2)
    save(source, tmp_path / name)
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    load_weights(target, Weights(uri=str(tmp_path / name), sha256=digest))
    for key, array in _arrays(source).items():
        np.testing.assert_array_equal(_arrays(target)[key], array)


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({str(self.marker)!r}, 'w').close()",))


def test_a_code_payload_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "was-run", tmp_path / "w.pdparams"
    path.write_bytes(pickle.dumps({**_arrays(_net(1)), "fc.bias": _Payload(marker)}))
    with pytest.raises(InvalidInput, match=r"builtins\.exec.*nothing is run"):
        load_weights(_net(2), Weights(uri=str(path)))
    assert not marker.exists()
    pickle.loads(path.read_bytes())
    assert marker.exists()  # the payload works where pickle is trusted


def _saved(path: Path, arrays: dict[str, np.ndarray]) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_what_is_fresh_stays_whatever_the_file_has(tmp_path: Path) -> None:
    source, start = _arrays(_net(1)), _arrays(_net(2))
    head = {name for name in source if name.startswith("fc.")}
    body = {name: array for name, array in source.items() if name not in head}
    other_head = {**source, "fc.weight": np.zeros((3, 2), np.float32)}
    for arrays in (body, source, other_head):
        target = _net(2)
        load_weights(target, Weights(uri=_saved(tmp_path / "w.npz", arrays)), fresh=["fc.*"])
        for name, array in _arrays(target).items():
            np.testing.assert_array_equal(array, start[name] if name in head else source[name])


def test_entries_that_are_named_are_not_read_and_a_prefix_is_put_before_names(tmp_path: Path) -> None:
    class Classifier(paddle.nn.Layer):
        def __init__(self, body: paddle.nn.Layer) -> None:
            super().__init__()
            self.body = body

    source, target = _arrays(_net(1)), Classifier(_net(2))
    uri = _saved(tmp_path / "w.npz", {**source, "cls.0.bias": np.zeros(2), "cls.1.bias": np.zeros(3)})
    with pytest.raises(InvalidInput, match=r"spec\.model\.weights\.prefix 'body\.' would make"):
        load_weights(target, Weights(uri=uri))
    load_weights(target, Weights(uri=uri, prefix="body.", ignore=["cls.*"]))
    for name, array in source.items():
        np.testing.assert_array_equal(_arrays(target)[f"body.{name}"], array)


@pytest.mark.parametrize(
    ("settings", "fresh", "reason", "words"),
    [
        (
            {},
            [],
            "WeightsInvalid",
            ["weights.uri: ", "lacks fc.weight, fc.bias", "spec.model.pretrain.fresh"],
        ),
        ({}, ["fc.weight"], "WeightsInvalid", ["lacks fc.bias;"]),
        (
            {},
            ["fc.*"],
            "WeightsInvalid",
            ["has cls.bias that the model", "named in spec.model.weights.ignore"],
        ),
        (
            {"ignore": ["cls.*"]},
            ["fc.*", "fx.*"],
            "PatternMatchesNothing",
            ["spec.model.pretrain.fresh[1]: 'fx.*' matches no parameter of the model"],
        ),
        (
            {"ignore": ["head.bias"]},
            ["fc.*"],
            "PatternMatchesNothing",
            ["spec.model.weights.ignore[0]: 'head.bias' matches no name in ", "there is: "],
        ),
        ({"ignore": ["*"]}, ["*"], "WeightsInvalid", ["spec.model.weights.uri: nothing of "]),
        ({"ignore": ["c*", "layer*"]}, ["fc.*"], "WeightsInvalid", ["lacks conv1.weight"]),
    ],
)
def test_what_is_not_named_must_be_there_and_names_must_be_right(
    settings: dict[str, list[str]], fresh: list[str], reason: str, words: list[str], tmp_path: Path
) -> None:
    arrays = {name: array for name, array in _arrays(_net(1)).items() if not name.startswith("fc.")}
    uri = _saved(tmp_path / "w.npz", {**arrays, "cls.bias": np.zeros(3)})
    net = _net(2)
    before = _arrays(net)
    with pytest.raises(InvalidInput) as caught:
        load_weights(net, Weights(uri=uri, **settings), fresh=fresh)
    assert caught.value.reason.value == reason
    for word in words:
        assert word in caught.value.message
    for name, array in before.items():
        np.testing.assert_array_equal(_arrays(net)[name], array)


def test_the_field_of_another_model_s_weights_is_named_and_the_file_as_it_is(tmp_path: Path) -> None:
    uri = _saved(tmp_path / "spec.model.npz", {"conv1.weight": np.zeros(1)})
    with pytest.raises(InvalidInput) as caught:
        load_weights(_net(1), Weights(uri=uri), "spec.teacher")
    assert caught.value.message.startswith(f"spec.teacher.weights.uri: {uri} lacks ")
    assert "fresh" not in caught.value.message
    (tmp_path / "spec.model.npz").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"^spec\.teacher\.weights\.uri: .*spec\.model\.npz \(0 bytes\)"):
        load_weights(_net(1), Weights(uri=uri), "spec.teacher")


def _changed(change: Callable[[dict[str, np.ndarray]], object]) -> bytes:
    arrays = _arrays(_net(1))
    change(arrays)
    return safetensors.numpy.save(arrays)


def _rename(arrays: dict[str, np.ndarray]) -> None:
    arrays["fc.weights"] = arrays.pop("fc.weight")


def _whole(extension: str) -> bytes:
    if extension == "safetensors":
        return safetensors.numpy.save(_arrays(_net(1)))
    if extension == "pdparams":
        return pickle.dumps(_arrays(_net(1)))
    file = io.BytesIO()
    np.savez(file, **_arrays(_net(1)))
    return file.getvalue()


@pytest.mark.parametrize(
    ("extension", "content", "words"),
    [
        ("safetensors", lambda: _whole("safetensors")[:-7], ["truncated", ".safetensors"]),
        ("npz", lambda: _whole("npz")[:-7], ["truncated", ".npz"]),
        ("pdparams", lambda: _whole("pdparams")[:-700], ["truncated", ".pdparams"]),
        ("pdparams", lambda: b"", ["0 bytes", "truncated"]),
        ("pdparams", lambda: b"no pickle at all", ["truncated or no .pdparams"]),
        ("pdparams", lambda: pickle.dumps([1, 2]), ["holds a list", "state_dict"]),
        ("pdparams", lambda: pickle.dumps({"a": 1}), ["entry 'a' is a int"]),
        ("pdparams", lambda: pickle.dumps({"a": np.array([None, 1])}), ["entry 'a'", "not an array"]),
        ("npz", lambda: _whole("safetensors"), ["no .npz file"]),
        ("safetensors", lambda: _changed(_rename), ["lacks fc.weight;", "did you mean 'fc.weights'"]),
        ("safetensors", lambda: _changed(lambda a: a.pop("fc.bias")), ["lacks fc.bias"]),
        ("safetensors", lambda: _changed(lambda a: a.update(more=np.zeros(1))), ["has more that the model"]),
        (
            "safetensors",
            lambda: safetensors.numpy.save(_arrays(residual_net(width=16))),
            ["other shapes: conv1.weight is [16, 1, 3, 3], the model has [8, 1, 3, 3]", "and ", " more"],
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_changes_nothing(
    extension: str, content: Callable[[], bytes], words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / f"w.{extension}"
    path.write_bytes(content())
    net = _net(2)
    before = _arrays(net)
    with pytest.raises(InvalidInput) as caught:
        load_weights(net, Weights(uri=str(path)))
    assert caught.value.reason is Reason.WEIGHTS_INVALID
    for word in ["spec.model.weights.uri", *words]:
        assert word in caught.value.message
    for name, array in before.items():
        np.testing.assert_array_equal(_arrays(net)[name], array)


def test_another_sha256_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(_whole("npz"))
    with pytest.raises(InvalidInput, match=r"spec\.model\.weights\.sha256.*expected 0{64}"):
        load_weights(_net(2), Weights(uri=str(path), sha256="0" * 64))
    with pytest.raises(MissingData, match="there is no file") as caught:
        load_weights(_net(2), Weights(uri=str(tmp_path / "none.npz")))
    assert caught.value.reason is Reason.WEIGHTS_MISSING
    with pytest.raises(InvalidInput, match="nonsense"):
        load_weights(_net(2), Weights(uri="nonsense://w.npz"))


def _halves(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return float32 arrays that are bfloat16 numbers exactly."""
    return {n: (a.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32) for n, a in arrays.items()}


def _as_bfloat16(path: Path, arrays: dict[str, np.ndarray]) -> None:
    if path.suffix == ".pdparams":
        paddle.save({n: paddle.to_tensor(a).astype("bfloat16") for n, a in arrays.items()}, str(path))
        return
    header, data = {}, b""
    for name, array in arrays.items():
        codes = (array.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        place = [len(data), len(data) + len(codes)]
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": place}
        data += codes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.mark.parametrize("name", ["w.pdparams", "w.safetensors"])
def test_bfloat16_weights_are_read_as_numbers(name: str, tmp_path: Path) -> None:
    arrays = _halves(_arrays(_net(1)))
    _as_bfloat16(tmp_path / name, arrays)
    target = _net(2)
    load_weights(target, Weights(uri=str(tmp_path / name)))
    for key, array in _arrays(target).items():
        assert np.array_equal(array, arrays[key]), key


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_weights_of_another_precision_are_read_as_numbers(kind: str, tmp_path: Path) -> None:
    arrays = {name: array.astype(kind) for name, array in _arrays(_net(1)).items()}
    target = _net(2)
    load_weights(target, Weights(uri=_saved(tmp_path / "w.npz", arrays)))
    for key, array in _arrays(target).items():
        assert np.array_equal(array, arrays[key].astype("float32")), key


def test_quantised_weights_are_refused_by_name(tmp_path: Path) -> None:
    arrays = _arrays(_net(1))
    first = next(iter(arrays))
    arrays[first] = np.ones(arrays[first].shape, np.int8)
    with pytest.raises(InvalidInput, match=rf"{first} is int8, the model has float32; .*quantised"):
        load_weights(_net(2), Weights(uri=_saved(tmp_path / "w.npz", arrays)))


def test_an_archive_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        for _ in range(300):
            file.write(bytes(2**20))
    with pytest.raises(InvalidInput, match=r"unpacked it has 314572800 bytes, at most 268435456 are read"):
        load_weights(_net(2), Weights(uri=str(path)))


class _Sharing:
    """Pickled as an array of bfloat16's codes whose bytes are in the file once, however often it is there."""

    def __init__(self, codes: bytes) -> None:
        self._codes = codes

    def __reduce__(self) -> tuple[Any, ...]:
        build, empty, _ = np.zeros(1).__reduce__()
        return build, empty, (1, (len(self._codes) // 2,), np.dtype("uint16"), False, self._codes)


def test_entries_that_share_their_bytes_do_not_fill_the_memory(tmp_path: Path) -> None:
    path, codes = tmp_path / "w.pdparams", bytes(2**20)
    path.write_bytes(pickle.dumps({f"w{number}": _Sharing(codes) for number in range(300)}, protocol=2))
    assert path.stat().st_size < 2**21
    with pytest.raises(InvalidInput, match=r"unpacked it has 314572800 bytes, at most 268435456 are read"):
        load_weights(_net(2), Weights(uri=str(path)))
