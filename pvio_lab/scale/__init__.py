"""The same steps for many videos, elsewhere: for multimodal models, and with Ray Data."""
