"""Jobs: a manifest of clips becomes shards of results, here or on Ray, and what that costs and would cost."""
