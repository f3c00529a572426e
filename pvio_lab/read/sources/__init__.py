"""Whatever is elsewhere becomes a local file or a stream of bytes: fetched, resumed, kept, and let go of."""
