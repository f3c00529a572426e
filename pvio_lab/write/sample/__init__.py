"""The sampling of frames of one video, or of a whole tree, into images with a manifest."""
