"""The network of a model that is only there as exported files."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from secateur_api.conditions import Reason
from secateur_api.spec import Exported, InputSpec
from secateur_api.uri import redacted
from secateur_jobs.graph.examples import Shapes
from secateur_jobs.graph.files import NotRebuilt, rebuild
from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import read_named


def exported(file: str, shapes: list[list[int]]) -> GraphNetwork:
    """Return the network of ``inference.pdmodel``, ``inference.json`` or ``.onnx``, with its trained weights.

    ``file`` is a path as the stages see it; a ``.pdiparams`` lies beside it. ``shapes`` are those of the
    inputs, batch first, as in ``spec.model.inputs``. Raises NotRebuilt, a ValueError that says why.
    """
    with tempfile.TemporaryDirectory(prefix="secateur-exported-") as scratch:
        return rebuild(Path(file), shapes, Path(scratch))[0]


def read_exported(model: Exported, inputs: Sequence[InputSpec], field: str) -> GraphNetwork:
    """Return the network of the files that the spec names at ``field``, with its trained weights.

    Raises what :func:`opened` does.
    """
    return opened(model, [one.shape for one in inputs], field)[0]


def opened(model: Exported, shapes: Shapes, field: str) -> tuple[GraphNetwork, float]:
    """Return the network of an exported model's files, and how far it is from them (``graph.files.rebuild``).

    Its ``files_sha256`` is their digest. Raises MissingData(WEIGHTS_MISSING) for a file that is not there;
    InvalidInput: WEIGHTS_INVALID for others than ``model.sha256``, FACTORY_FAILED where they cannot be
    rebuilt.
    """
    contents, digest = _contents(model, field)
    with tempfile.TemporaryDirectory(prefix="secateur-exported-") as scratch:
        stem = model.uri.rpartition("/")[2].rpartition(".")[0]
        for kind, content in contents.items():
            (Path(scratch) / f"{stem}.{kind}").write_bytes(content)
        file = Path(scratch) / f"{stem}.{next(iter(contents))}"
        try:
            network, difference = rebuild(file, shapes, Path(scratch) / "read")
        except NotRebuilt as error:
            raise InvalidInput(
                Reason.FACTORY_FAILED, f"{field}.uri: {redacted(model.uri)}: {error}"
            ) from None
    network.files_sha256 = digest
    network.files_bytes = sum(map(len, contents.values()))
    return network, difference


def files_sha256(model: Exported, field: str) -> str:
    """Return the digest of an exported model's files; raises what :func:`opened` does where it reads them."""
    return _contents(model, field)[1]


def _contents(model: Exported, field: str) -> tuple[dict[str, bytes], str]:
    """Return the files by their kind, the program's first, and their digest."""
    contents = {
        uri.rpartition(".")[2]: read_named(uri, None, field, Reason.WEIGHTS_MISSING, Reason.WEIGHTS_INVALID)
        for uri in model.uris
    }
    digest = hashlib.sha256(b"".join(contents.values())).hexdigest()
    if model.sha256 not in (None, digest):
        raise InvalidInput(
            Reason.WEIGHTS_INVALID,
            f"{field}.sha256: {' and '.join(map(redacted, model.uris))}: the digest is {digest}, expected "
            f"{model.sha256}; other files, or cut short",
        )
    return contents, digest
