"""What there is to see and to hear of a row, small enough to be sent: its picture, or its sound and its spectrogram.

Enters: a store and a row. Leaves: PNG, JPEG, MP3 or WAV, of what the model itself is given, not of the file it was.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np

from leadline.core.tensors import Block
from leadline.dataset.store import Store

THUMBNAIL = 96  # pixels of the longer side, at least
LARGE = 320  # and at most
QUALITY = 85  # of a JPEG
SECONDS = 10.0  # of a sound: more of it tells little more of a mistake
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # samples a second that MP3 knows
LOSS = 0.7  # of a sound: about 30 kbit a second


def picture(store: Store, row: int) -> bytes | None:
    """The first image of a row, or its first sound as a spectrogram."""
    found = _held(store, row, ("image", "audio"))
    if found is None:
        return None
    block, held = found
    from PIL import Image

    from leadline.kinds.audio.kind import spectrogram

    pixels = held if block.kind == "image" else spectrogram(held, block.settings, 3 * THUMBNAIL)
    shown = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if max(shown.size) < THUMBNAIL:
        factor = math.ceil(THUMBNAIL / max(shown.size))
        shown = shown.resize((shown.width * factor, shown.height * factor), Image.Resampling.NEAREST)
    shown.thumbnail((LARGE, LARGE))
    out = io.BytesIO()
    if max(shown.size) > THUMBNAIL and shown.mode == "RGB":
        shown.save(out, "JPEG", quality=QUALITY)
    else:
        shown.save(out, "PNG", optimize=True)
    return out.getvalue()


def sound(store: Store, row: int) -> bytes | None:
    """The beginning of the first sound of a row; every browser plays MP3, and where libsndfile cannot, WAV."""
    found = _held(store, row, ("audio",))
    if found is None or not len(found[1]):
        return None
    import soundfile

    block, held = found
    rate = int(block.settings["rate"])
    held = held[: int(SECONDS * rate)]
    out = io.BytesIO()
    if "MP3" in soundfile.available_formats():
        better = next((known for known in RATES if known >= rate), RATES[-1])
        if better != rate:
            import soxr

            held = np.asarray(soxr.resample(held, rate, better), np.int16)
        soundfile.write(out, held, better, format="MP3", compression_level=LOSS)
    else:
        soundfile.write(out, held, rate, format="WAV")
    return out.getvalue()


def _held(store: Store, row: int, kinds: tuple[str, ...]) -> tuple[Block, Any] | None:
    """The first block of one of these kinds, and what it holds of a row, with no marks."""
    block = next((block for block in store.blocks if block.kind in kinds), None)
    if block is None:
        return None
    held = np.asarray(store.tensor(block.name)[row])
    return block, held if block.padding is None else held[held != block.padding]
