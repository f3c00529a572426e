"""Jobs: a manifest of clips becomes shards of results, and what that costs and would cost."""
