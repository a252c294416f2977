"""Pictures and sounds inside the page, all out of one room, so that a page stays small whatever comes in.

Enters: a PNG, a JPEG, an MP3 or a WAV. Leaves: HTML with the content in it; a sentence in its place once the room is
used up, so that nothing vanishes unsaid.

    >>> room = Room(60)
    >>> room.picture(PNG + bytes(8), "row 1")[:42], room.left
    ('<img class=tiny src="data:image/png;base64', 14)
    >>> room.picture(PNG + bytes(8), "row 2")
    '<p class="nothing">Picture left out to keep this page small.</p>'
"""

from __future__ import annotations

import base64

__all__ = ["Room", "is_picture"]

PNG = b"\x89PNG\r\n\x1a\n"
TYPES = {PNG: "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "audio/wav", b"ID3": "audio/mpeg"}
SMALL = 96  # pixels: a picture up to this is shown with its pixels, not smoothed
LEFT_OUT = '<p class="nothing">{what} left out to keep this page small.</p>'


class Room:
    """Characters that the page may still spend on pictures and sounds; a part of a room spends the whole's too."""

    def __init__(self, left: int, whole: Room | None = None) -> None:
        self.left, self._whole = left, whole

    def part(self, share: float) -> Room:
        """A share of what is left, so that one section cannot use up what the next ones need."""
        return Room(int(share * self.left), self)

    def picture(self, content: bytes, label: str) -> str:
        """An image; `label` is text that is already escaped."""
        held = self._held(content)
        if held is None:
            return LEFT_OUT.format(what="Picture")
        tiny = content.startswith(PNG) and max(_side(content, 16), _side(content, 20)) <= SMALL
        return f'<img{" class=tiny" if tiny else ""} src="{held}" alt="{label}">'

    def sound(self, content: bytes, label: str) -> str:
        """A player of the browser's own."""
        held = self._held(content)
        if held is None:
            return LEFT_OUT.format(what="Sound")
        return f'<audio controls preload="metadata" src="{held}" aria-label="{label}"></audio>'

    def _held(self, content: bytes) -> str | None:
        """The content as an address; None where there is no room for it."""
        text = f"data:{_type(content)};base64,{base64.b64encode(content).decode()}"
        if len(text) > self.left:
            return None
        room: Room | None = self
        while room is not None:
            room.left -= len(text)
            room = room._whole
        return text


def is_picture(content: bytes | None) -> bool:
    """Whether a browser would show it."""
    return content is not None and _type(content).startswith("image/")


def _type(content: bytes) -> str:
    """By the first bytes; an MP3 without a tag begins with its first frame."""
    return next((kind for start, kind in TYPES.items() if content.startswith(start)), "audio/mpeg")


def _side(png: bytes, at: int) -> int:
    return int.from_bytes(png[at : at + 4])
