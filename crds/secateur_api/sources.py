"""What a result comes from besides the spec: the content of data, modules and weights."""

from __future__ import annotations

from secateur_api.base import Contract


class SplitContent(Contract):
    """One data set, as sampled."""

    length: int
    items: dict[str, str]
    """Index to the digest of what does not change between two reads of that item; ``all`` where the whole set
    is one digest."""
    random: list[int] = []
    """Columns that differ between two reads under one seed; they are in no digest."""
    columns: int = 0
    """How many columns an item has; 0 where the whole set is one digest."""
    sequence: str | None = None
    """Digest of the random columns as a new set gives them, read in the same order; None where two new sets
    differ too."""

    @property
    def is_unknown(self) -> bool:
        """Whether no column of an item can be told from another."""
        return 0 < self.columns == len(self.random) and self.sequence is None


class Sources(Contract):
    """The content that the first stages of a job found; units are named by it."""

    train: SplitContent
    eval: SplitContent
    modules: dict[str, str] = {}
    """The user's modules outside ``spec.code`` and the installed packages: name to SHA-256."""
    weights: dict[str, str] = {}
    """Field of the spec to the SHA-256 of the file that it names."""
    network: dict[str, str] = {}
    """What is built whatever the seed: tensor to its digest, ``shapes`` to that of all shapes; of an exported
    model ``files`` to that of its files."""
    layers: str = ""
    """Digest of the network's text, of which only this process may know that it is the same each time."""
    toolchain: dict[str, str] = {}
    """Package to version."""


def difference(before: Sources, now: Sources) -> str | None:
    """Say what of ``now`` is other content than ``before``; None where nothing that both know of is.

    Items that only one of them has are not compared.
    """
    for name in ("train", "eval"):
        found = _split_difference(getattr(before, name), getattr(now, name))
        if found is not None:
            return f"the {name} set has changed: {found}"
    for module, digest in now.modules.items():
        if before.modules.get(module, digest) != digest:
            return f"module {module} has changed"
    for field, digest in now.weights.items():
        if before.weights.get(field, digest) != digest:
            return f"the file of {field} has changed"
    for tensor, digest in now.network.items():
        if before.network.get(tensor, digest) != digest:
            return f"the network has changed ({tensor})"
    return None


def _split_difference(before: SplitContent, now: SplitContent) -> str | None:
    if before.length != now.length:
        return f"it had {before.length} items and has {now.length}"
    if now.sequence is not None and before.sequence not in (None, now.sequence):
        return "its items, which are others at each read, are others when first read as well"
    for index, digest in now.items.items():
        if before.items.get(index, digest) != digest:
            return "its arrays are others" if index == "all" else f"item {index} is another"
    return None
