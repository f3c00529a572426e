"""Sources that are elsewhere, as local files or streams of bytes: fetched, resumed, kept and released."""
