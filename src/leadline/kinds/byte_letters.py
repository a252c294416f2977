"""The letters in which byte-level tokenizers write their pieces (Radford et al. 2019)."""

from __future__ import annotations


def byte_letters() -> list[str]:
    """The letter that stands for each byte: itself where it can be seen, else one of those from 256 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {byte: chr(byte) for byte in seen}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + len(letters) - len(seen)))
    return [letters[byte] for byte in range(256)]
