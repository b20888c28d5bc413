"""The lines of a PNG file compressed again, by one library or another: one strategy gives the same bytes by all."""

import struct
import zlib
from types import ModuleType

OURS, DEFAULT = zlib.Z_RLE, zlib.Z_DEFAULT_STRATEGY  # `compress_type` of pictures.figures, and what Pillow takes itself


def compressed(picture: bytes) -> bytes:
    """Return what a PNG file holds of compressed data."""
    at, found = 8, b""
    while at < len(picture):
        length, kind = struct.unpack(">I4s", picture[at : at + 8])
        found += picture[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return found


def compress(picture: bytes, library: ModuleType, strategy: int) -> bytes:
    """Compress the lines of a PNG file as Pillow does: level, window and memory are its own."""
    stream = library.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
    return bytes(stream.compress(zlib.decompress(compressed(picture))) + stream.flush())
