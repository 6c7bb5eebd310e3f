"""The built wheel, in an empty environment: what works without extras, and README's first Python example."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that sees nothing of this checkout."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(cwd), "COLUMNS": "200", **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900, check=False)


def pip(venv: Path, *arguments: str | Path) -> None:
    """Install with an environment's pip; a machine without a registry cannot run this."""
    done = subprocess.run(
        [venv / "bin" / "python", "-m", "pip", "install", "-q", "--no-compile", *arguments],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if "Could not find a version" in done.stderr or "ConnectionError" in done.stderr:
        pytest.skip("pip reaches no registry")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it from a copy, so that nothing is left in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("crds", "operator", "jobs"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    builder = environment(tmp_path_factory.mktemp("builder"))
    pip(builder, "-r", ROOT / "environments" / "build.txt", "wheel")
    command = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, source]
    done = run(builder / "bin" / "python", *command, cwd=out)
    assert done.returncode == 0, done.stderr
    return next(out.glob("secateur-*.whl"))


def environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and what it depends on."""
    venv = environment(tmp_path_factory.mktemp("bare"))
    pip(venv, "-c", ROOT / "environments" / "main.txt", wheel)
    return venv


def test_the_command_works_without_extras(bare: Path, tmp_path: Path) -> None:
    secateur = bare / "bin" / "secateur"
    job = tmp_path / "digits.yaml"
    shutil.copy(ROOT / "examples" / "digits.yaml", job)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", run(secateur, "--version", cwd=tmp_path).stdout)
    assert run(secateur, "validate", job, cwd=tmp_path).stdout == f"{job}: valid\n"
    crd = (ROOT / "crds" / "secateur.dev_pruningjobs.yaml").read_text()
    assert run(secateur, "crd", cwd=tmp_path).stdout == crd
    assert run(bare / "bin" / "kubectl-secateur", "validate", job, cwd=tmp_path).stdout == f"{job}: valid\n"
    assert "Usage: kubectl secateur " in run(bare / "bin" / "kubectl-secateur", "--help", cwd=tmp_path).stdout
    words = {"_SECATEUR_COMPLETE": "complete_bash", "COMP_WORDS": "secateur va", "COMP_CWORD": "1"}
    assert run(secateur, cwd=tmp_path, **words).stdout == "validate\n"


def test_a_missing_extra_is_one_sentence(bare: Path, tmp_path: Path) -> None:
    job = ROOT / "examples" / "digits.yaml"
    for command, extra in ((["run", job], "jobs"), (["operator"], "operator"), (["store", "list"], "jobs")):
        done = run(bare / "bin" / "secateur", *command, cwd=tmp_path)
        assert done.returncode == 2
        assert re.fullmatch(
            rf"secateur {command[0]} needs \w+, which is not installed; "
            rf"run: pip install 'secateur\[{extra}\]'\n",
            done.stderr,
        )
    done = run(bare / "bin" / "python", "-c", "import secateur; secateur.prune", cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.endswith("is not installed; run: pip install 'secateur[jobs]'")


@pytest.mark.paddle
def test_with_jobs_the_first_python_example_of_the_readme_runs(
    wheel: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    venv = environment(tmp_path_factory.mktemp("full"))
    pip(venv, "-c", ROOT / "environments" / "main.txt", f"{wheel}[jobs]")
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    script = tmp_path / "example.py"
    script.write_text(example[1])
    done = run(venv / "bin" / "python", "-W", "ignore", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MACs" in done.stdout
