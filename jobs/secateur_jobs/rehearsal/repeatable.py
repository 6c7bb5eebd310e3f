"""Every stage builds the network anew: the factory must give the same one each time, and give it whole."""

from __future__ import annotations

from secateur_api.conditions import Reason
from secateur_api.spec import Model
from secateur_jobs.explain import some
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.user_code import build_model

Shapes = dict[str, list[int]]


def check_repeatable(net: paddle.nn.Layer, model: Model) -> None:
    """Build a second network and compare it with ``net``, which was just built and has not been run.

    Raises InvalidInput(FACTORY_FAILED) if a parameter or buffer has another name or shape, or is the same.
    """
    again = build_model(model)
    own = {id(parameter) for parameter in net.parameters()}
    shared = [name for name, parameter in again.named_parameters() if id(parameter) in own]
    if shared:
        raise _refused(
            model,
            f"gives the same network each time ({shared[0]} is one tensor in both); "
            "build a new one at each call",
        )
    one, other = shapes_of(net), shapes_of(again)
    differing = [
        f"{name} is {_shown(one, name)} the first time, {_shown(other, name)} the second"
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]
    if differing:
        raise _refused(
            model,
            f"is not repeatable: {some(differing, '; ', 2)}; it must build the same network from the same "
            "arguments each time (a common cause: a default argument, such as a list, that is changed)",
        )


def check_made_in_init(net: paddle.nn.Layer, built: Shapes, model: Model, when: str) -> None:
    """Compare a network that has been run with the shapes that it was ``built`` with.

    ``when`` says what it has done since. Raises InvalidInput(FACTORY_FAILED) naming what came or went.
    """
    now = shapes_of(net)
    late = [name for name in now if now[name] != built.get(name)]
    gone = [name for name in built if name not in now]
    if late:
        raise _refused(
            model,
            f"{_layers(late)} made or changed {when}; make all layers, parameters and buffers in __init__, "
            "from where a saved network is filled again",
        )
    if gone:
        raise _refused(
            model,
            f"{_layers(gone)} removed {when}; keep them, and merge branches in a network of its own, after "
            "the pruning or before it in the factory",
        )


def shapes_of(net: paddle.nn.Layer) -> Shapes:
    """Return the shape of every parameter and buffer by its structured name."""
    return {name: list(tensor.shape) for name, tensor in net.state_dict().items()}


def _shown(shapes: Shapes, name: str) -> str:
    return str(shapes[name]) if name in shapes else "not there"


def _layers(names: list[str]) -> str:
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    return f"{some([repr(layer) for layer in layers], limit=3)} {'is' if len(layers) == 1 else 'are'}"


def _refused(model: Model, what: str) -> InvalidInput:
    return InvalidInput(Reason.FACTORY_FAILED, f"{model.origin_field}: {model.origin}: {what}")
