"""A network in one ``.safetensors`` file, which says of itself how the uncut one was built.

Tensors by structured name. One metadata entry, ``secateur``, holds :class:`Metadata` as JSON. Widths are
those of the tensors. Equal networks give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from pydantic import Field, ValidationError

from secateur_api.base import Contract
from secateur_api.conditions import Reason
from secateur_api.spec import CutAs, InputSpec, Model, Pretrain
from secateur_api.spec.types import Factory
from secateur_jobs.explain import RAISED, first_fault, near, raised
from secateur_jobs.graph import recipe
from secateur_jobs.graph.files import NotRebuilt
from secateur_jobs.graph.model import files_sha256
from secateur_jobs.graph.of_module import ModuleGraph, graph_of
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import describe_widths
from secateur_jobs.pruning.masking import layer_norms
from secateur_jobs.runtime.errors import MissingData
from secateur_jobs.runtime.toolchain import toolchain
from secateur_jobs.training.forward import zeros
from secateur_jobs.user_code import build_model

Built: TypeAlias = paddle.nn.Layer | Callable[[], paddle.nn.Layer]
SCHEMA = 1
_TRUSTED = ("secateur_jobs.zoo.", "paddle.vision.models:")
"""Where the networks are that may be built because a file names them."""
_KEY = "secateur"
EXPORTED = "secateur_jobs.graph.model:exported"
"""What builds the network of exported files."""


class _Architecture(Contract):
    """How to build the uncut network."""

    factory: Factory | None
    """None: only whoever wrote the file knows."""
    args: dict[str, Any]
    inputs: list[InputSpec]
    cut_as: Literal[CutAs.MODULE, CutAs.GRAPH] = CutAs.MODULE
    """Whether the tensors are those of the factory's network, or of its graph."""


class Metadata(Contract):
    """What a checkpoint says about itself."""

    schema_version: int
    model: _Architecture
    groups: dict[str, int]
    """Convolution (where it is not 1) or group normalisation to its number of groups."""
    normed: dict[str, int] = Field(default_factory=dict)
    """Layer normalisation without parameters to the width that it normalises over."""
    graph: str | None = None
    """The recipe of a network that is a graph (``graph.recipe``)."""
    toolchain: dict[str, str]
    extra: dict[str, str] = Field(default_factory=dict)
    """Empty; it stays, because the files that are there have it."""


def to_bytes(net: paddle.nn.Layer, model: Model) -> bytes:
    """Write ``net``, which ``model``'s factory built and which may have been cut since."""
    return _written(net, _architecture(net, model))


def plain_bytes(
    net: paddle.nn.Layer,
    inputs: list[InputSpec],
    factory: str | None = None,
    args: dict[str, Any] | None = None,
) -> bytes:
    """Write ``net``, which runs on ``inputs``; ``factory`` and ``args`` tell who built it uncut, if known."""
    said = _Architecture(factory=factory, args=args or {}, inputs=inputs, cut_as=_cut_as(net))
    return _written(net, said)


def _written(net: paddle.nn.Layer, model: _Architecture) -> bytes:
    metadata = Metadata(
        schema_version=SCHEMA,
        model=model,
        groups={name: n for name, (kind, n) in _groups(net).items() if kind == "_num_groups" or n != 1},
        normed={name: norm._normalized_shape[0] for name, norm in _bare_norms(net).items()},
        graph=recipe.written(net),
        toolchain=toolchain(),
    )
    # one entry, because the order of several is not defined
    text = json.dumps(metadata.model_dump(mode="json", by_alias=True), sort_keys=True)
    return safetensors.numpy.save(state(net), metadata={_KEY: text})


def from_bytes(content: bytes, model: Model, origin: str = "the checkpoint") -> paddle.nn.Layer:
    """Rebuild the network, in evaluation mode, with the outputs it had when it was written.

    ``model`` says which factory builds the uncut network; what the file says of it must be the same, and is
    never called. ``origin`` names the file in messages.

    Raises MissingData(ARTIFACT_CORRUPT) for a truncated or foreign file, a file of another model, or tensors
    that the network cannot use; InvalidInput if the factory is not found or fails.
    """
    tensors, metadata = parse(content, origin)
    said = metadata.model
    net = _as_described(tensors, metadata, model, origin)
    if net is None:
        net = build_model(model, f"{origin}: model" if model.exported is None else "spec.model")
    wanted = _architecture(net, model)
    if (said.factory, said.args) != (wanted.factory, wanted.args):
        raise _corrupt(origin, f"it is of {said.factory} {said.args}, not of {wanted.factory} {wanted.args}")
    return _rebuilt(net, tensors, metadata, origin)


def _as_described(
    tensors: dict[str, np.ndarray], metadata: Metadata, model: Model, origin: str
) -> paddle.nn.Layer | None:
    """Build the network of exported files as the checkpoint describes it, which spares reading them anew.

    None where they, the inputs or the versions are not those that it was described of.
    """
    if model.exported is None or metadata.graph is None:
        return None
    digest, said = files_sha256(model.exported, "spec.model.exported"), metadata.model
    described_of = said.factory, said.args.get("sha256"), said.inputs, metadata.toolchain
    if described_of != (EXPORTED, digest, model.inputs, toolchain()):
        return None
    net = _graph(metadata.graph, tensors, origin)
    net.files_sha256 = digest
    return net


def _architecture(net: paddle.nn.Layer, model: Model) -> _Architecture:
    """Say how ``net`` is built; of exported files, from which: others under the same name are refused."""
    if model.factory is not None:
        return _Architecture(factory=model.factory, args=model.args, inputs=model.inputs, cut_as=_cut_as(net))
    return _Architecture(factory=EXPORTED, args={"sha256": net.files_sha256}, inputs=model.inputs)


def _cut_as(net: paddle.nn.Layer) -> Literal[CutAs.MODULE, CutAs.GRAPH]:
    return CutAs.GRAPH if isinstance(net, ModuleGraph) else CutAs.MODULE


def load(path: str | Path, model: Built | None = None) -> paddle.nn.Layer:
    """Rebuild the network of a checkpoint file in ``model``, in evaluation mode.

    ``model`` is the uncut network, freshly built, or what builds it when it is called: a file must not choose
    the code that runs. It may be left out for a graph, and for networks that come with Secateur or Paddle.

    Raises ValueError if it is needed and not given; MissingData as :func:`from_bytes` does;
    FileNotFoundError.

    Example::

        net = load("checkpoint.safetensors", model=my_networks.classifier(classes=10))
    """
    tensors, metadata = parse(Path(path).read_bytes(), str(path))
    said = metadata.model
    if model is None and metadata.graph is not None:
        return _rebuilt(_graph(metadata.graph, tensors, str(path)), tensors, metadata, str(path))
    if model is None:
        if said.factory is None:
            raise ValueError(
                f"{path} does not say who builds its network: build it uncut and give it as model="
            )
        if not said.factory.startswith(_TRUSTED):
            arguments = ", ".join(f"{name}={value!r}" for name, value in said.args.items())
            raise ValueError(
                f"{path} is of the network {said.factory} with ({arguments}); a file does not choose the "
                "code that runs: build that network and give it as model="
            )
        model = build_model(
            Model(factory=said.factory, args=said.args, inputs=said.inputs, pretrain=Pretrain(epochs=1)),
            f"{path}: model",
        )
    net = model if isinstance(model, paddle.nn.Layer) else model()
    return _rebuilt(net, tensors, metadata, str(path))


def _graph(text: str, tensors: dict[str, np.ndarray], origin: str) -> paddle.nn.Layer:
    try:
        return recipe.built(text, tensors)
    except RAISED as error:
        raise _corrupt(origin, f"its graph cannot be built: {raised(error)}") from None


def _rebuilt(
    net: paddle.nn.Layer, tensors: dict[str, np.ndarray], metadata: Metadata, origin: str
) -> paddle.nn.Layer:
    net = _in_form(net, metadata.model, origin)
    _fill(net, tensors, origin)
    _set_groups(net, metadata.groups, origin)
    _set_normed(net, metadata.normed, origin)
    describe_widths(net)
    net.eval()
    _try_on_zeros(net, metadata.model.inputs, origin)
    return net


def _in_form(net: paddle.nn.Layer, said: _Architecture, origin: str) -> paddle.nn.Layer:
    """Return the network, or its graph where that was cut."""
    if said.cut_as is _cut_as(net):
        return net
    if said.cut_as is CutAs.MODULE:
        raise _corrupt(origin, "it is of a network, not of its graph; give the network itself")
    try:
        return graph_of(net, said.inputs)
    except NotRebuilt as error:
        raise _corrupt(origin, f"it is of a network's graph, and this network has none: {error}") from None


def state(net: paddle.nn.Layer) -> dict[str, np.ndarray]:
    """Return copies of all parameters and buffers by structured name, each once, under its first name.

    PaddleSlim keeps the uncut weights beside the cut ones, as buffers named ``*_backup``; they are left out.
    """
    return {
        name: np.ascontiguousarray(tensor.numpy())
        for name, tensor in sorted(_distinct(net).items())
        if not name.endswith("_backup")
    }


def _distinct(net: paddle.nn.Layer) -> dict[str, paddle.Tensor]:
    """Return every tensor by its first name; an LSTM's are its cells' as well, tied weights have two."""
    first: dict[int, str] = {}
    tensors: dict[str, paddle.Tensor] = net.state_dict()
    return {name: tensor for name, tensor in tensors.items() if first.setdefault(id(tensor), name) == name}


def _groups(net: paddle.nn.Layer) -> dict[str, tuple[str, int]]:
    """Return for every layer with groups the attribute that counts them, and their number."""
    return {
        name: (attribute, int(getattr(layer, attribute)))
        for name, layer in net.named_sublayers(include_self=True)
        for attribute in ("_groups", "_num_groups")
        if isinstance(getattr(layer, attribute, None), int)
    }


def _set_groups(net: paddle.nn.Layer, groups: dict[str, int], origin: str) -> None:
    """Bring the freshly built network to the file's groups, which shapes do not tell."""
    layers, built = dict(net.named_sublayers(include_self=True)), _groups(net)
    for name in groups:
        if name not in built:
            raise _corrupt(origin, f"it has groups for layer {name!r}, which has none in the network")
    for name, (attribute, number) in built.items():
        # files of earlier versions do not tell group normalisations', which could not be cut
        known = attribute == "_groups" or name in groups
        setattr(layers[name], attribute, groups.get(name, 1) if known else number)


def _bare_norms(net: paddle.nn.Layer) -> dict[str, paddle.nn.LayerNorm]:
    """Return the layer normalisations that no tensor tells the width of."""
    return {n: norm for n, norm in layer_norms(net).items() if norm.weight is None and norm.bias is None}


def _set_normed(net: paddle.nn.Layer, normed: dict[str, int], origin: str) -> None:
    bare = _bare_norms(net)
    for name, width in normed.items():
        if name not in bare or not 1 <= width <= bare[name]._normalized_shape[0]:
            raise _corrupt(origin, f"layer {name!r} of the network does not normalise over {width} channels")
        bare[name]._normalized_shape = [width]


def parse(content: bytes, origin: str) -> tuple[dict[str, np.ndarray], Metadata]:
    """Return a checkpoint's tensors and what it says about itself; raises MissingData(ARTIFACT_CORRUPT)."""
    try:
        tensors = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, ValueError) as error:
        raise _corrupt(origin, f"it is truncated or no .safetensors file ({error})") from None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    text = header.get("__metadata__", {}).get(_KEY)
    if text is None:
        raise _corrupt(origin, "it was not written by Secateur; give plain weights as spec.model.weights")
    try:
        metadata = Metadata.model_validate_json(text)
    except ValidationError as error:
        raise _corrupt(origin, f"its metadata is damaged: {first_fault(error)}") from None
    if metadata.schema_version != SCHEMA:
        raise _corrupt(origin, f"it has schema {metadata.schema_version}, this Secateur reads {SCHEMA}")
    return tensors, metadata


def _fill(net: paddle.nn.Layer, tensors: dict[str, np.ndarray], origin: str) -> None:
    """Put arrays into a freshly built network; a smaller one shrinks its tensor in place."""
    own = net.state_dict()
    for name in _distinct(net):
        if name not in tensors:
            raise _corrupt(origin, f"it lacks the tensor {name!r}{near(name, tensors, limit=3)}")
    for name, array in tensors.items():
        if name not in own:
            raise _corrupt(origin, f"its tensor {name!r} has no place in the network that the factory builds")
        tensor = own[name]
        built = tuple(tensor.shape)
        if len(built) != array.ndim or any(
            n > m or (n == 0 and m) for n, m in zip(array.shape, built, strict=True)
        ):
            raise _corrupt(
                origin,
                f"{name} is {list(array.shape)}, the uncut network has {list(built)}; not a cut of it",
            )
        if tensor.numpy().dtype != array.dtype:
            raise _corrupt(origin, f"{name} is {array.dtype}, the network needs {tensor.numpy().dtype}")
        if built == array.shape:
            tensor.set_value(array)
        else:
            tensor.get_tensor().set(array, paddle.framework._current_expected_place())


def _try_on_zeros(net: paddle.nn.Layer, inputs: list[InputSpec], origin: str) -> None:
    try:
        with paddle.no_grad():
            net(*zeros(inputs))
    except RAISED as error:
        raise _corrupt(origin, f"its tensors do not fit each other: {raised(error)}") from None


def _corrupt(origin: str, what: str) -> MissingData:
    return MissingData(Reason.ARTIFACT_CORRUPT, f"{origin}: {what}")
