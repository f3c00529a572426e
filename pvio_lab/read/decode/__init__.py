"""Packets become frames: what is in a file, in which order, and the engines that decode it."""
