"""Files that a person wrote: each mistake gets one clear line, exit code 2, no traceback."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from secateur_api import InvalidResource
from secateur_api.code_digest import code_sha256
from secateur_api.spec import Data
from secateur_operator.cli import app
from secateur_operator.document import read_job
from secateur_operator.local_files import pinned
from tests.unit.control.jobs import document

GOOD = yaml.safe_dump(document())
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


def with_arg(value: str) -> str:
    """Return a job whose model gets an argument, as it stands in the file."""
    text = document()
    text["spec"]["model"]["args"] = {"width": "HERE"}
    return yaml.safe_dump(text).replace("HERE", value)


def _twice() -> str:
    text = document()
    text["spec"]["model"]["inputs"] *= 2
    return yaml.safe_dump(text)


TWICE = _twice()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory"),
        ("", "expected one PruningJob, found nothing"),
        ("# only a comment\n", "found nothing"),
        (f"{GOOD}---\n{GOOD}", "found 2 documents"),
        ("kind: [", "not valid YAML: line"),
        ("just text", "expected a PruningJob (a mapping), found 'just text'"),
        (GOOD.replace("kind: PruningJob", "kind: PruningJobb"), "kind: expected 'PruningJob'"),
        (GOOD.replace("v1alpha1", "v9"), "apiVersion: expected 'secateur.dev/v1alpha1'"),
        (GOOD.replace("pruning:", "prunning:"), "spec.prunning: unknown field; did you mean 'pruning'?"),
        (GOOD.replace("macs: 50%", "macs: 50"), "spec.pruning.target.macs"),
        (GOOD.replace("spec:", "spec:\n  seed: 1\n  seed: 2"), "the key 'seed' is there twice"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (BOMB, "with its aliases written out it has more than 100000 values"),
        (GOOD + "more: &a [*a]\n", "the alias *a is in itself"),
        ("a: " + "[" * 5000, "nested more than 100 levels deep"),
        ("{" * 5000, "nested more than 100 levels deep"),
        (GOOD + "#" * 2**20, "more than 1048576 bytes"),
        (GOOD.replace("spec:", "spec:\n  seed: " + "1" * 5001), "spec.seed: "),
        (GOOD.replace("spec:", "spec:\n  seed: 0x_"), "spec.seed: "),
        (with_arg(".inf"), ".inf is no number that JSON has"),
        (with_arg(str(2**63)), "spec.model.args.width: 9223372036854775808 is beyond 64 bits"),
        (with_arg('"\\uD800"'), "spec.model.args.width: '\\ud800' has half of a character"),
        ("!" * 100_000, "the tag !"),
        (GOOD.replace("metadata:", "metadata:\n  labels: {tier: 1}"), "metadata.labels.tier: expected text"),
        (with_arg("!!set {a, b}"), "the tag !!set makes no value that JSON has"),
        (with_arg("!!python/object:os.system {}"), "makes no value that JSON has"),
        (GOOD.replace("spec:", "spec:\n  fine_tune: {epochs: 2}"), "spec.fine_tune: unknown field; did you"),
        (TWICE, "spec.model: inputs names an input twice"),
    ],
)
def test_each_mistake_gets_its_line(tmp_path: Path, content: str | bytes | None, says: str) -> None:
    file = tmp_path / "job.yaml"
    if isinstance(content, str):
        file.write_text(content)
    elif content is not None:
        file.write_bytes(content)
    home = tmp_path / "home"
    for command in (["run", str(file), "--home", str(home)], ["validate", str(file)]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 2
        assert says in done.stderr
        assert all(line.startswith(f"{file}: ") for line in done.stderr.splitlines())
        assert "Traceback" not in done.output
    assert not home.exists()


def test_validate_says_which_files_are_right(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    done = CliRunner().invoke(app, ["validate", str(good), str(bad)])
    assert done.exit_code == 2
    assert done.stdout == f"{good}: valid\n"
    assert done.stderr == f"{bad}: No such file or directory\n"


def test_crd_is_printed_as_yaml() -> None:
    done = CliRunner().invoke(app, ["crd"])
    assert done.exit_code == 0
    assert yaml.safe_load(done.stdout)["kind"] == "CustomResourceDefinition"


def with_weights(tmp_path: Path, uri: str, **more: str) -> Path:
    text = document()
    text["spec"]["model"]["weights"] = {"uri": uri, **more}
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(text))
    return file


def test_weights_are_found_beside_the_file_and_pinned(tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"weights")
    job = pinned(read_job(with_weights(tmp_path, "w.npz")), tmp_path, None)
    weights = job.spec.model.weights
    assert weights is not None
    assert weights.uri == str(tmp_path / "w.npz")
    assert weights.sha256 == hashlib.sha256(b"weights").hexdigest()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["run", str(with_weights(tmp_path, "w.npz"))])
    assert done.exit_code == 2
    assert f"spec.model.weights.uri: cannot read {tmp_path / 'w.npz'}: No such file" in done.stderr


def test_weights_of_another_digest_are_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"weights")
    file = with_weights(tmp_path, "w.npz", sha256="0" * 64)
    done = CliRunner().invoke(app, ["run", str(file), "--home", str(tmp_path / "home")])
    digest = hashlib.sha256(b"weights").hexdigest()
    assert done.exit_code == 2
    assert f"spec.model.weights.sha256: {tmp_path / 'w.npz'} has {digest}, expected 000" in done.stderr
    assert not (tmp_path / "home").exists()


def test_remote_weights_are_left_alone(tmp_path: Path) -> None:
    job = pinned(read_job(with_weights(tmp_path, "s3://bucket/w.npz")), tmp_path, None)
    assert job.spec.model.weights is not None
    assert job.spec.model.weights.uri == "s3://bucket/w.npz"


def with_exported(folder: Path, **more: str) -> Path:
    """Write a job whose model is ``net.json`` beside it."""
    text = document()
    text["spec"]["model"] = {
        "exported": {"uri": "net.json", **more},
        "inputs": text["spec"]["model"]["inputs"],
    }
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(text))
    return file


def test_exported_files_are_pinned_together(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_bytes(b"program")
    file = with_exported(tmp_path)
    with pytest.raises(
        InvalidResource, match=r"spec.model.exported.uri: cannot read .*net.pdiparams: No such"
    ):
        pinned(read_job(file), tmp_path, None)
    (tmp_path / "net.pdiparams").write_bytes(b"weights")
    found = pinned(read_job(file), tmp_path, None).spec.model.exported
    assert found is not None
    assert found.uri == str(tmp_path / "net.json")
    assert found.sha256 == hashlib.sha256(b"programweights").hexdigest()
    with pytest.raises(InvalidResource, match=r"spec.model.exported.sha256: .* expected 000"):
        pinned(read_job(with_exported(tmp_path, sha256="0" * 64)), tmp_path, None)


def test_code_is_pinned_by_its_python_files(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(GOOD)
    code = tmp_path / "code"
    code.mkdir()
    with pytest.raises(InvalidResource, match="has no Python files"):
        pinned(read_job(file), tmp_path, code)
    (code / "net.py").write_text("x = 1\n")
    found = pinned(read_job(file), tmp_path, code).spec.code
    assert found is not None
    assert (found.uri, found.sha256) == (str(code), code_sha256(code))
    with pytest.raises(InvalidResource, match=r"--code: cannot read .*No such file"):
        pinned(read_job(file), tmp_path, tmp_path / "nowhere")


def test_code_in_the_file_must_have_the_digest_it_says(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("x = 1\n")
    text = document(code={"uri": ".", "sha256": "0" * 64})
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(text))
    with pytest.raises(InvalidResource, match=r"spec.code.sha256: .* has [0-9a-f]{64}"):
        pinned(read_job(file), tmp_path, None)
    text["spec"]["code"]["uri"] = "s3://bucket/code.whl"
    file.write_text(yaml.safe_dump(text))
    with pytest.raises(InvalidResource, match="not on this machine"):
        pinned(read_job(file), tmp_path, None)


@pytest.mark.parametrize(
    ("written", "is_read_as"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("0o17", 15),
        ("010", 8),
        ("08", 8),
        ("0b11", 3),
        ("1_000", 1000),
        ("yes", True),
        ("off", False),
        ("~", None),
        ("2024-02-30", "2024-02-30"),
        ("12:30:45", "12:30:45"),
        ("1e400", "1e400"),
        ("0x_", "0x_"),
        ('"1e-3"', "1e-3"),
    ],
)
def test_values_mean_what_they_mean_to_kubectl(tmp_path: Path, written: str, is_read_as: object) -> None:
    """The table was made with Helm's ``fromYaml | toJson``."""
    file = tmp_path / "job.yaml"
    file.write_text(with_arg(written))
    found = read_job(file).spec.model.args["width"]
    assert (found, type(found)) == (is_read_as, type(is_read_as))


def test_curves_are_found_beside_the_file_and_pinned(tmp_path: Path) -> None:
    (tmp_path / "sen.pickle").write_bytes(b"curves")
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(document(sensitivity={"file": {"uri": "sen.pickle"}})))
    curves = pinned(read_job(file), tmp_path, None).spec.sensitivity.file
    assert curves is not None
    assert (curves.uri, curves.sha256) == (
        str(tmp_path / "sen.pickle"),
        hashlib.sha256(b"curves").hexdigest(),
    )


def test_arrays_and_texts_are_found_beside_the_file_and_pinned(tmp_path: Path) -> None:
    def data_of(data: dict[str, object]) -> Data:
        text = document(data=data)
        text["spec"]["model"] = {
            **text["spec"]["model"],
            "pretrain": None,
            "trained": True,
            "inputs": [{"name": "ids", "shape": [1, 8], "dtype": "int64"}],
        }
        file = tmp_path / "job.yaml"
        file.write_text(yaml.safe_dump(text))
        return pinned(read_job(file), tmp_path, None).spec.data

    def of(name: str) -> tuple[str, str]:
        (tmp_path / name).write_bytes(name.encode())
        return str(tmp_path / name), hashlib.sha256(name.encode()).hexdigest()

    expected, texts, vocabulary = map(of, ("inputs.npz", "texts.txt", "vocab.txt"))
    arrays = data_of({"arrays": {"uri": "inputs.npz"}}).arrays
    assert arrays is not None
    assert (arrays.uri, arrays.sha256) == expected
    lines = data_of({"lines": {"uri": "texts.txt", "vocabulary": {"uri": "vocab.txt"}}}).lines
    assert lines is not None
    assert (lines.uri, lines.sha256) == texts
    assert (lines.vocabulary.uri, lines.vocabulary.sha256) == vocabulary
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(InvalidResource, match=r"spec.data.lines.vocabulary.uri: cannot read .*vocab.txt"):
        data_of({"lines": {"uri": "texts.txt", "vocabulary": {"uri": "vocab.txt"}}})


def test_the_labels_of_pictures_are_found_beside_the_file_and_pinned(tmp_path: Path) -> None:
    text = document(data={"images": {"uri": "s3://photos/cards", "labels": {"uri": "list.txt"}}})
    text["spec"]["model"] |= {"pretrain": None, "trained": True}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(text))
    with pytest.raises(InvalidResource, match=r"spec.data.images.labels.uri: cannot read .*list.txt"):
        pinned(read_job(tmp_path / "job.yaml"), tmp_path, None)
    (tmp_path / "list.txt").write_text("a.png 1")
    images = pinned(read_job(tmp_path / "job.yaml"), tmp_path, None).spec.data.images
    assert images is not None
    assert images.labels is not None
    assert images.uri == "s3://photos/cards"
    assert images.labels.uri == str(tmp_path / "list.txt")
    assert images.labels.sha256 == hashlib.sha256(b"a.png 1").hexdigest()
