"""Videos are joined without encoding them again."""
