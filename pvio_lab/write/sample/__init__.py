"""Some frames of one video, or of a whole tree, become images with a manifest."""
