"""In which encoding a text file is written, inferred from its bytes; and the same text in UTF-8.

Enters: a file. Leaves: a name that Python's codecs know, and a UTF-8 file. What is not UTF-8 carries no mark, so it is
guessed, and a message says so: East Asian encodings by their pairs of bytes, other scripts by how often their commonest
letters come, Latin ones by which of them makes letters of the bytes inside of words.

    >>> guess("Размер;Цвет\\n12,5;красный\\n".encode("cp1251"))
    'cp1251'
    >>> guess("Größe;Straße\\n".encode("latin-1"))
    'latin-1'
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from leadline.readers.compression import BLOCK_BYTES

__all__ = ["NAMES", "encoding_of", "guess", "transcode"]

NAMES = {
    "latin-1": "Latin-1 (Windows-1252)", "cp1250": "Windows-1250", "cp850": "DOS code page 850",
    "mac_roman": "Mac Roman", "iso8859_2": "ISO 8859-2", "cp1251": "Windows-1251", "koi8_r": "KOI8-R",
    "cp866": "DOS code page 866", "cp1253": "Windows-1253", "cp1255": "Windows-1255", "cp1256": "Windows-1256",
    "cp874": "Windows-874", "cp932": "Shift-JIS", "euc_jp": "EUC-JP", "cp949": "EUC-KR", "gb18030": "GB 18030",
    "big5": "Big5",
}  # fmt: skip
# The letters of a script that make up half of its texts.
COMMONEST = {
    "cp1251": "оеаинтсрвл", "koi8_r": "оеаинтсрвл", "cp866": "оеаинтсрвл", "cp1253": "αοιετσνηρπςό",
    "cp1255": "יוהלארתבשמ", "cp1256": "اليمنوترهب", "cp874": "านรอกเงมยลวด่้ี",
}  # fmt: skip
HALF = 0.42  # share of the letters that must be among them
LATIN = ("cp1250", "iso8859_2", "cp850", "mac_roman")  # of those that do as well the first
APART = 0.35  # share of the letters beyond ASCII that have an ASCII letter beside them: above, the script is Latin
LOOKED_AT = 2**16  # bytes about the first that is not UTF-8
WESTERN, SURE = 0.75, 0.9  # share of letters from which on it is Windows-1252; that another must reach
RUNS = 0.7  # share of them that stand beside another such, in a script that is not Latin
PAIRS = 0.8  # share of the pairs that must be common ones


def encoding_of(path: Path, head: bytes) -> str:
    """The encoding of a text file; 'latin-1' also where lines of it and of UTF-8 are mixed."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head:  # without a mark, every other byte of what is nearly all ASCII is zero
        few = len(head) // 10
        if head[1::2].count(0) > 4 * few and head[::2].count(0) < few:
            return "utf-16-le"
        if head[::2].count(0) > 4 * few and head[1::2].count(0) < few:
            return "utf-16-be"
    decoder, block, start = codecs.getincrementaldecoder("utf-8")(), b"", 0
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                decoder.decode(block)
                start += len(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        first = max(0, min(error.start, len(block)) - LOOKED_AT // 2)
        return guess(_lines(block[first : first + LOOKED_AT], whole=start + first == 0))
    return "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"


def transcode(source: Path, folder: Path, encoding: str) -> Path:
    """Write the text in UTF-8 without a mark."""
    # Latin-1 is read byte by byte, because files of several hands may hold lines of it and of UTF-8; what is called so
    # is nearly always Windows-1252, which adds curly quotes and the euro where Latin-1 has control codes.
    codecs.register_error("leadline-latin-1", _latin)
    target = folder / "utf8"
    reader, errors = (encoding, "replace") if encoding != "latin-1" else ("utf-8-sig", "leadline-latin-1")
    with (
        source.open(encoding=reader, errors=errors, newline="") as old,
        target.open("w", encoding="utf-8", newline="") as new,
    ):
        while block := old.read(BLOCK_BYTES):
            new.write(block)
    return target


def guess(sample: bytes) -> str:
    """The encoding of some lines that are not all UTF-8."""
    mixed = sample.decode("utf-8", "surrogateescape")
    strange = sum("\udc80" <= letter <= "\udcff" for letter in mixed)
    if sum(letter > "\x7f" for letter in mixed) - strange > strange:
        return "latin-1"  # most of it is UTF-8
    if east_asian := _pairs(sample):
        return east_asian
    if _beside(sample) <= APART and _in_runs(sample) >= RUNS:
        shares = {name: _common(sample, name) for name in COMMONEST}
        best = max(shares, key=lambda name: shares[name])
        if shares[best] >= HALF:
            return best
    if _letters(sample, "cp1252") >= WESTERN:
        return "latin-1"
    letters = {name: _letters(sample, name) for name in LATIN}
    best = max(LATIN, key=lambda name: letters[name])
    return best if letters[best] >= SURE else "latin-1"


def _lines(block: bytes, whole: bool) -> bytes:
    """Whole lines of a block, as far as it has any."""
    first = 0 if whole else block.find(b"\n") + 1
    last = block.rfind(b"\n") + 1
    return block[first : last if last > first else len(block)]


def _decoded(sample: bytes, name: str) -> str | None:
    try:
        return sample.decode(name)
    except UnicodeDecodeError:
        return None


def _pairs(sample: bytes) -> str | None:
    """An encoding of pairs of bytes, where nearly all pairs are such as are common in its language."""
    for name in ("cp932", "euc_jp"):
        if (text := _decoded(sample, name)) is None:
            continue
        high = [letter for letter in text if letter > "\x7f"]
        kana = sum("\u3041" <= letter <= "\u30fe" for letter in high)
        kanji = sum("\u4e00" <= letter <= "\u9fff" for letter in high)
        if kana >= 0.15 * len(high) and kana + kanji >= PAIRS * len(high):
            return name
    leads = [text.encode("gb18030")[0] for text in _high(sample, "gb18030") if len(text.encode("gb18030")) == 2]
    both = [text for text in _high(sample, "gb18030") if min(text.encode("gb18030")) >= 0xA1]
    if leads and len(both) >= PAIRS * len(leads):
        if _share(leads, 0xB0, 0xC8) > 0.95 and _high(sample, "cp949"):
            return "cp949"
        if _share(leads, 0xA1, 0xD7) >= PAIRS and _share(leads, 0xB0, 0xD7) >= 0.6:
            return "gb18030"
    leads = [text.encode("big5")[0] for text in _high(sample, "big5")]
    return "big5" if leads and _share(leads, 0xA4, 0xC6) >= PAIRS and _beside(sample) < 0.5 else None


def _high(sample: bytes, name: str) -> list[str]:
    """The letters beyond ASCII; none where it does not decode."""
    return [letter for letter in _decoded(sample, name) or "" if letter > "\x7f"]


def _share(values: list[int], low: int, high: int) -> float:
    return sum(low <= value <= high for value in values) / len(values)


def _beside(sample: bytes) -> float:
    """The share of the bytes beyond ASCII that have an ASCII letter beside them."""
    high = [place for place, byte in enumerate(sample) if byte > 127]
    near = sum(sample[max(0, place - 1) : place + 2].translate(None, NOT_LETTERS) != b"" for place in high)
    return near / max(1, len(high))


def _in_runs(sample: bytes) -> float:
    """The share of the bytes beyond ASCII that have another such beside them."""
    runs = re.findall(rb"[\x80-\xff]+", sample)
    return sum(len(run) for run in runs if len(run) > 1) / max(1, sum(map(len, runs)))


def _common(sample: bytes, name: str) -> float:
    """The share of the letters beyond ASCII that are among the commonest of the script, as small letters."""
    letters = [letter for letter in _high(sample, name) if letter.isalpha() or name == "cp874"]
    if not letters:
        return 0.0
    # A text is mostly small letters: KOI8-R has them where Windows-1251 has the large ones.
    return sum(letter in COMMONEST[name] for letter in letters) / len(letters) if _small(letters) else 0.0


def _small(letters: list[str]) -> bool:
    large = sum(letter.isupper() for letter in letters)
    return large <= 0.5 * len(letters) or large == len(letters)


def _letters(sample: bytes, name: str) -> float:
    """The share of the bytes beyond ASCII inside of words that are letters."""
    text = sample.decode(name, "replace")
    inside = [
        text[place]
        for place in range(1, len(text))
        if text[place] > "\x7f" and text[place - 1].isascii() and text[place - 1].isalpha()
    ]
    return sum(letter.isalpha() for letter in inside) / len(inside) if inside else 1.0


NOT_LETTERS = bytes(byte for byte in range(256) if not (65 <= byte <= 90 or 97 <= byte <= 122))


def _latin(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    wrong = error.object[error.start : error.end]
    return "".join(bytes([b]).decode("cp1252", errors="ignore") or chr(b) for b in wrong), error.end
