"""How many batches there are: known from the facts about the files alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ..read.cpus import num_cpus
from .chunks import Piece, form_batches
from .dataset import VideoCollectionDataset
from .epoch import Recipe
from .files import MediaFile
from .trouble import BROKEN


def count_batches(dataset: VideoCollectionDataset, recipe: Recipe) -> int:
    """Of all ranks together; where the keyframes are does not matter."""
    pieces = (
        Piece(file, range(0, file.num_frames, recipe.step), file.size, 0)
        for file in _files_with_facts(dataset)
    )
    batches = form_batches(pieces, recipe.batch_size, drop_last=recipe.drop_last, by_size=recipe.is_shuffled)
    return sum(1 for _ in batches)


def _files_with_facts(dataset: VideoCollectionDataset) -> Iterator[MediaFile]:
    """Every file that can be opened: its facts come from the cache, or from several threads."""

    def with_facts(number: int) -> MediaFile | None:
        file = dataset.file(number)
        try:
            _ = file.num_frames
            file.close()
        except BROKEN as error:
            if dataset.on_error == "raise":
                raise
            dataset.trouble.of_file(file.name, error)
            return None
        return file

    with ThreadPoolExecutor(num_cpus()) as pool:
        yield from (file for file in pool.map(with_facts, range(len(dataset.paths))) if file is not None)
