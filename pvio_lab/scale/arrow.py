"""Arrow, which comes with Ray: manifests and shards are read and written with it."""

from __future__ import annotations

try:
    import pyarrow as pa
    from pyarrow import dataset, fs, parquet
except ImportError as error:
    raise ImportError('manifests and shards need pyarrow and Ray: pip install "pvio_lab[ray]"') from error

__all__ = ["dataset", "fs", "pa", "parquet"]
