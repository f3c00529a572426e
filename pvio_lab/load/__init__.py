"""Many videos feed PyTorch."""
