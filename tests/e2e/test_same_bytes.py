"""A job in the cluster, its store in S3, gives the bytes that the same file gives on this machine."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster_kit.documents import LITE, tiny
from tests.cluster_kit.fixtures import OpenSite
from tests.cluster_kit.s3 import S3
from tests.cluster_kit.site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def site(open_site: OpenSite, s3: S3) -> Site:
    """A namespace whose jobs keep their artifacts in S3."""
    site = open_site("s3", with_store=False)
    site.cluster.apply(s3.credentials(site.namespace))
    site.serve("--store-uri", s3.store("tiny")["uri"], "--store-secret", "s3")
    return site


@pytest.fixture(scope="module")
def ended(site: Site) -> dict[str, Any]:
    """The status of a job that kept everything in S3."""
    return site.wait_end(site.apply(tiny(changes=LITE)), "Succeeded")


def _bytes(status: dict[str, Any], s3: S3) -> dict[str, str]:
    """Return file name to SHA-256 of checkpoint and models; every artifact is what the status says."""
    found = {}
    for one in status["artifacts"]:
        content = s3.read(one["uri"]) if one["uri"].startswith("s3:") else _file(one["uri"]).read_bytes()
        assert len(content) == one["bytes"]
        assert hashlib.sha256(content).hexdigest() == one["sha256"]
        if one["kind"] in ("checkpoint", "model"):
            found[one["uri"].rsplit("/", 1)[1]] = one["sha256"]
    return found


def _file(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def test_the_models_lie_in_the_bucket(ended: dict[str, Any], s3: S3) -> None:
    found = _bytes(ended, s3)
    assert set(found) == {"checkpoint.safetensors", "pruned-paddle-lite-x86.nb", "pruned-onnx.onnx"}
    assert all(one["uri"].startswith("s3://models/tiny/units/") for one in ended["artifacts"])


def test_fetch_brings_them_here(site: Site, ended: dict[str, Any], tmp_path: Path) -> None:
    named = {one["uri"].rsplit("/", 1)[1]: one["sha256"] for one in ended["artifacts"]}
    assert site.fetch("tiny", tmp_path / "results") == named


def test_the_same_file_on_this_machine_gives_the_same_bytes(
    ended: dict[str, Any], s3: S3, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tiny(changes=LITE)))
    command = [str(Path(sys.executable).with_name("secateur")), "run", str(file), "-o", "yaml"]
    home = str(tmp_path / "home")
    done = subprocess.run([*command, "--home", home], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = yaml.safe_load(done.stdout)["status"]
    assert [one["outcome"]["numbers"] for one in here["rounds"]] == [
        one["outcome"]["numbers"] for one in ended["rounds"]
    ]
    assert _bytes(here, s3) == _bytes(ended, s3)


def test_another_job_of_the_same_spec_finds_the_work_done(site: Site, ended: dict[str, Any], s3: S3) -> None:
    again = site.wait_end(site.apply(tiny("again", LITE)), "Succeeded")
    assert all(one["reused"] for one in again["stages"] if one["name"] != "report")
    assert _bytes(again, s3) == _bytes(ended, s3)
