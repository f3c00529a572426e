"""A manifest of clips becomes shards of results: what that costs, and what is done already."""
