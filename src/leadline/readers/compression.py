"""Single packed files: gzip, bzip2, xz and Zstandard, recognised by their first bytes, never by their name.

Enters: a file. Leaves: its bytes unpacked, counted as they come, so that a bomb is refused before it fills the disk
(Fifield 2019, A better zip bomb, https://www.bamsoftware.com/hacks/zipbomb/).

    >>> without_packing(Path("houses.csv.zst")), without_packing(Path("houses.csv"))
    (PosixPath('houses.csv'), PosixPath('houses.csv'))
"""

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from leadline.system.errors import SourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["PACKINGS", "check_size", "opened", "packing_of", "unpack_file", "without_packing", "zstd"]

MOST_BYTES = 50 * 10**9
# Lossless audio and pixels shrink to a tenth at best; a bomb unpacks to a thousand times its size and more.
MOST_TIMES, FREE_BYTES = 200, 10**9
BLOCK_BYTES = 2**20
PACKINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}
MAGIC = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\0", "Zstandard": b"\x28\xb5\x2f\xfd"}


def without_packing(path: Path) -> Path:
    """The path without the suffix that says how the file is packed."""
    return path.with_suffix("") if path.suffix.lower() in PACKINGS else path


def packing_of(path: Path, head: bytes) -> str | None:
    """How a file is packed, by its first bytes, else by its name; None where it is plain."""
    by_magic = next((packing for packing, magic in MAGIC.items() if head.startswith(magic)), None)
    return by_magic or PACKINGS.get(path.suffix.lower())


def opened(path: Path, packing: str) -> IO[bytes]:
    """The unpacked bytes of a file."""
    if packing == "Zstandard":
        return cast(IO[bytes], zstd.open(path, "rb"))
    openers: dict[str, Callable[[Path], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    return cast(IO[bytes], openers[packing](path))


def unpack_file(path: Path, packing: str, target: Path) -> Path:
    """Write the unpacked bytes of `path` to `target`. Raises SourceError for what is damaged or a bomb."""
    packed, written = path.stat().st_size, 0
    with opened(path, packing) as source, target.open("wb") as plain:
        while block := _block(source, path, packing):
            written += len(block)
            check_size(path, packed, written)
            plain.write(block)
    return target


def _block(source: IO[bytes], path: Path, packing: str) -> bytes:
    try:
        return source.read(BLOCK_BYTES)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the packing's
            raise
        raise SourceError(
            f"{path.name} is not a whole {packing} file ({error}); copy or download it again, or drop "
            f"{path.suffix} from its name"
        ) from error


def check_size(path: Path, packed: int, written: int) -> None:
    """Refuse what unpacks to far more than its packed size."""
    if written > MOST_BYTES or (written > FREE_BYTES and written > MOST_TIMES * packed):
        raise SourceError(
            f"{path.name} ({packed / 1e6:,.1f} MB) unpacks to more than {written // 10**9} GB, which is refused; "
            "if that is right, unpack it yourself and give the folder"
        )
