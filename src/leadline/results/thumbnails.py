"""What there is to see and to hear of a row, small enough to be sent: its picture, or its sound and its spectrogram.

Enters: a store and a row. Leaves: PNG, JPEG, MP3 or WAV, of what the model itself is given, not of the file it was.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator

import numpy as np

from leadline.core.tensors import Block
from leadline.dataset.store import Store
from leadline.kinds import KINDS

THUMBNAIL = 96  # pixels of the longer side, at least
LARGE = 320  # and at most
QUALITY = 85  # of a JPEG
SECONDS = 10.0  # of a sound: more of it tells little more of a mistake
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # samples a second that MP3 knows
LOSS = 0.7  # of a sound: about 30 kbit a second


def picture(store: Store, row: int) -> bytes | None:
    """The first block of a row in which there is something to see, such as an image, or a sound as a spectrogram."""
    seen = (KINDS[block.kind].picture(held, block.settings, 3 * THUMBNAIL) for block, held in _held(store, row))
    pixels = next((each for each in seen if each is not None), None)
    return None if pixels is None else packed_picture(pixels)


def packed_picture(pixels: np.ndarray) -> bytes:
    """Pixels uint8 [height, width, 1 or 3] as PNG or JPEG."""
    from PIL import Image

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
    heard = (KINDS[block.kind].sound(held, block.settings) for block, held in _held(store, row))
    found = next((each for each in heard if each is not None), None)
    return None if found is None or not len(found[0]) else packed_sound(*found)


def packed_sound(held: np.ndarray, rate: int) -> bytes:
    """The beginning of int16 samples as MP3 or WAV."""
    import soundfile

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


def _held(store: Store, row: int) -> Iterator[tuple[Block, np.ndarray]]:
    """Every block, and what it holds of a row, without padding."""
    for block in store.blocks:
        held = np.asarray(store.tensor(block.name)[row])
        yield block, held if block.padding is None else held[held != block.padding]
