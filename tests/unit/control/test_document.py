"""Files that a person wrote: each mistake gets one clear line, exit code 2, no traceback."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from secateur_api import InvalidResource
from secateur_api.code_digest import code_sha256
from secateur_operator.cli import app
from secateur_operator.document import read_job
from secateur_operator.local_files import pinned
from tests.unit.control.jobs import document

GOOD = yaml.safe_dump(document())


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
        (b"\xff\xfe\x00", "no text file"),
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
