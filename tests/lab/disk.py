"""Looking into disk images from outside: no mount, no loop device."""

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def pieces(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a sparse file has data: (begin, end)."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(file, end, os.SEEK_DATA)
        except OSError:  # only a hole is left
            return
        end = os.lseek(file, begin, os.SEEK_HOLE)
        yield begin, end


def words_found(image: Path, words: Iterable[str]) -> list[str]:
    """Which of WORDS stand anywhere in the image, as bytes."""
    found = []
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content:
        areas = list(pieces(file.fileno(), len(content)))
        for word in words:
            if any(content.find(word.encode(), begin, end) >= 0 for begin, end in areas):
                found.append(word)
    return found
