"""What happens to files in a store that nobody looks after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def delete(file: Path) -> None:
    file.unlink()


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def take_another_units(file: Path) -> None:
    """Copy the file that stands in the same place of another unit, or one of another content."""
    units = file.parents[1] if file.name == "result.json" else file.parents[2]
    for other in sorted(units.glob(f"*/{file.name}")):
        if other.parent != file.parent and other.read_bytes() != file.read_bytes():
            file.write_bytes(other.read_bytes())
            return
    file.write_bytes(b"the content of another unit")


KINDS: dict[str, Callable[[Path], None]] = {
    "deleted": delete,
    "cut short": cut_short,
    "one bit flipped": flip_a_bit,
    "of another unit": take_another_units,
}
