"""Frames become files."""
