"""The same steps for many videos, elsewhere: for multimodal models, with Ray, and with Hugging Face datasets.

`jobs/` takes a manifest of clips through the library, and goes on after it was killed.
"""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
