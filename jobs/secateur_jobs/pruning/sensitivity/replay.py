"""Run a net again from one of its layers on: what ran before that layer is returned from memory.

A recording holds the output of every layer's call, in the order of the calls, for one batch. A replay from
call ``start`` on runs the same ``forward``; each call that had ended before ``start`` returns what it
returned then. So Python code between the layers runs as ever, and a layer may be called twice.

How deep a group lies in the net is what a sensitivity point of it has to compute again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.masking import other_forwards
from secateur_jobs.training.forward import eval_mode, forward


class _Enough(BaseException):
    """Ends a recording early. No Exception: the user's ``forward`` may catch those."""


class Diverged(Exception):
    """A replay called other layers than the recording: the net's ``forward`` is not the same each time."""


@dataclass
class _Call:
    """One call of a layer. Calls are numbered as they begin; ``end`` is the first number after its own."""

    layer: paddle.nn.Layer
    end: int = 0
    """0 while it runs, and for good where the recording ended inside it."""
    output: Any = None
    versions: tuple[int, ...] | None = None
    """Of the output's tensors; None: the output cannot be replayed, the call is run again."""


@dataclass
class Recorder:
    """Records one forward of ``net`` at a time and replays it. Use inside :meth:`attached`."""

    net: paddle.nn.Layer
    limit_bytes: int
    """Outputs beyond this are not kept; their calls are run again in each replay."""
    held_bytes: int = 0
    """Size of the outputs that the last recording keeps."""
    _calls: list[_Call] = field(default_factory=list)
    _recording: bool = False
    _cursor: int = 0
    _start: int = 0
    _held: set[int] = field(default_factory=set)
    _awaited: list[set[int]] | None = None
    """Ids of the layers of each set that recording still waits for; None: it goes on to the end."""

    @contextmanager
    def attached(self) -> Iterator[None]:
        """While it lasts, the net's layers can be recorded and replayed; the net is as before afterwards."""
        try:
            with other_forwards({one: self._watched(one, one.forward) for one in self.net.sublayers()}):
                yield
        finally:
            self._calls = []

    def record(
        self, inputs: Sequence[paddle.Tensor], until: Sequence[Sequence[paddle.nn.Layer]] | None = None
    ) -> Any:
        """Run the net and return its output; the recording before this one is dropped.

        With ``until`` the run ends, and nothing is returned, as soon as a layer of each of these sets is to
        be called: replays that start at the sets' first calls need no more.
        """
        self._calls, self.held_bytes, self._held = [], 0, set()
        self._awaited = None if until is None else [{id(layer) for layer in layers} for layers in until]
        self._recording = True
        try:
            output = self.net(*inputs)
        except _Enough:
            output = None
        finally:
            self._recording = False
        self._forget_changed()
        return output

    def first_call(self, layers: Sequence[paddle.nn.Layer]) -> int | None:
        """Return the number of the first recorded call of any of ``layers``, None if none was called."""
        wanted = {id(layer) for layer in layers}
        return next((i for i, call in enumerate(self._calls) if id(call.layer) in wanted), None)

    def replay(self, inputs: Sequence[paddle.Tensor], start: int) -> Any:
        """Run the net on the recorded ``inputs``, really from call ``start`` on; return its output.

        Raises :class:`Diverged` if the calls before ``start`` are not those of the recording.
        """
        self._cursor, self._start = 0, start
        try:
            output = self.net(*inputs)
        finally:
            self._start = 0
        self._forget_changed()  # where the recording had ended before
        if self._cursor < start:
            raise Diverged("the layer to start from was not called")
        return output

    def _watched(self, layer: paddle.nn.Layer, forward: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            if self._recording:
                return self._record_call(layer, forward, args, kwargs)
            if self._cursor >= self._start:
                return forward(*args, **kwargs)
            call = self._calls[self._cursor]
            if call.layer is not layer:
                raise Diverged(f"{layer.full_name()} was called instead of {call.layer.full_name()}")
            if call.versions is not None and call.end <= self._start:
                self._cursor = call.end
                return call.output
            self._cursor += 1
            return forward(*args, **kwargs)

        return watched

    def _record_call(
        self, layer: paddle.nn.Layer, forward: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        call = _Call(layer)
        self._calls.append(call)
        if self._awaited is not None:
            self._awaited = [layers for layers in self._awaited if id(layer) not in layers]
            if not self._awaited:
                raise _Enough
        output = forward(*args, **kwargs)
        call.end = len(self._calls)
        versions = _versions(output)
        if versions is not None and self._fits(output):
            call.output, call.versions = output, versions
        return output

    def _forget_changed(self) -> None:
        """Do not replay what was changed in place after its layer had returned it."""
        for call in self._calls:
            if call.versions is not None and call.versions != _versions(call.output):
                call.versions, call.output = None, None

    def _fits(self, output: Any) -> bool:
        new = {id(t): t for t in _tensors(output) if id(t) not in self._held}
        size = sum(t.size * t.element_size() for t in new.values())
        if self.held_bytes + size > self.limit_bytes:
            return False
        self.held_bytes += size
        self._held |= new.keys()
        return True


def _versions(output: Any) -> tuple[int, ...] | None:
    """Return how often each tensor was changed in place; None if the output is no tensor or tuple of them.

    A list or dict may be changed by who receives it, so it is never replayed.
    """
    tensors = _tensors(output)
    return tuple(t.inplace_version for t in tensors) if tensors else None


def _tensors(output: Any) -> list[paddle.Tensor]:
    """Return the tensors of a (nested) tuple of tensors; empty if there is anything else in it."""
    if isinstance(output, paddle.Tensor):
        return [output]
    if not isinstance(output, tuple):
        return []
    parts = [_tensors(part) for part in output]
    return [tensor for part in parts for tensor in part] if all(parts) else []


_PASSES, _SECONDS = 3, 0.3
"""How many passes are run at least, and for how long: those of small nets are short and easily disturbed."""


def behind(
    net: paddle.nn.Layer, consumers: Mapping[str, Sequence[str]], inputs: Sequence[np.ndarray]
) -> dict[str, float]:
    """Return for each group the share (0..1) of a forward pass's time from its first consumer on.

    ``consumers`` are the groups' consuming layers. Measured on ``inputs`` (one batch) in evaluation mode, in
    the fastest of some passes, since MACs say too little: a depthwise net's last block had 0.13 of them and
    took 0.03 of the time. A group none of whose consumers is called has 1.
    """
    with eval_mode(net), paddle.no_grad():
        passes = [_left(net, consumers, inputs) for _ in range(_PASSES)]
        end = time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            passes.append(_left(net, consumers, inputs))
    return min(passes, key=lambda one: one[0])[1]


def _left(
    net: paddle.nn.Layer, consumers: Mapping[str, Sequence[str]], inputs: Sequence[np.ndarray]
) -> tuple[float, dict[str, float]]:
    """Run the net once; return its seconds, and each group's share of them left at its first consumer."""
    at: dict[str, float] = {}
    layers = named_layers(net)
    names = dict.fromkeys(name for group in consumers.values() for name in group)

    def note(name: str) -> Callable[..., None]:
        def hook(layer: paddle.nn.Layer, arguments: object) -> None:
            at.setdefault(name, _now())

        return hook

    handles = [layers[name].register_forward_pre_hook(note(name)) for name in names]
    try:
        begin = _now()
        forward(net, list(inputs))
        seconds = _now() - begin
    finally:
        for handle in handles:
            handle.remove()
    first = {group: min((at[n] for n in own if n in at), default=begin) for group, own in consumers.items()}
    return seconds, {group: 1 - (moment - begin) / seconds for group, moment in first.items()}


def _now() -> float:
    """Return the time in seconds, once the device has done what it was given."""
    if paddle.get_device() != "cpu":
        paddle.device.synchronize()
    return time.perf_counter()
