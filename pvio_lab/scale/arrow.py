"""Arrow, which comes with Ray: manifests and shards are made with it. It is loaded when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import dataset, fs, parquet
else:

    class _Module:
        def __init__(self, name: str):
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            if attribute.startswith("__"):  # only somebody who looks around
                raise AttributeError(attribute)
            try:
                module = importlib.import_module(self._name)
            except ImportError as error:
                words = 'manifests and shards need pyarrow and Ray: pip install "pvio_lab[ray]"'
                raise ImportError(words) from error
            return getattr(module, attribute)

    pa, dataset, fs, parquet = map(_Module, ("pyarrow", "pyarrow.dataset", "pyarrow.fs", "pyarrow.parquet"))

__all__ = ["dataset", "fs", "pa", "parquet"]
