"""Many videos at once: for multimodal models, with Ray, and in Hugging Face datasets.

`jobs/` takes a manifest of clips through the library, and continues after it was killed.
"""

from ..base import attach

__getattr__, __dir__, __all__ = attach(__name__)
