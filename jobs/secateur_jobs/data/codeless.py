"""Data that need no code, by what the spec names."""

from __future__ import annotations

from secateur_api.conditions import Reason
from secateur_api.spec import Data, Model
from secateur_jobs.data import input_arrays, pictures, texts
from secateur_jobs.data.apart import counted
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.user_code import Splits


def splits(data: Data, model: Model, seed: int, has_labels: bool = True) -> Splits:
    """Return (train, eval) of items (input..., label or nothing). Labels are read only if it ``has_labels``.

    Raises InvalidInput, and MissingData for no file.
    """
    if data.args:  # CEL cannot look into arguments of any type
        raise InvalidInput(
            Reason.INVALID_SPEC, "spec.data.args: they are a factory's; leave them out without one"
        )
    if data.images is not None:
        images = data.images if has_labels else data.images.model_copy(update={"labels": None})
        return pictures.splits(images, model, seed)
    if data.arrays is not None:
        return input_arrays.splits(data.arrays, model, seed)
    if data.lines is not None:
        return texts.splits(data.lines, model, seed)
    raise RuntimeError("data of a factory are not read here")


def notes_of(data: Data, model: Model, found: Splits) -> list[str]:
    """Say what a user of :func:`splits` should know; of a factory's data nothing."""
    if data.images is not None:
        return pictures.notes_of(data.images, model, found)
    if data.factory is not None:
        return []
    return [counted("samples" if data.arrays is not None else "texts", found)]
