"""Supervisely's sampling of videos, `supervisely.video.sampling`, with files instead of a server.

Functions have the names, settings and defaults that they have there. There is no `api`, and a path takes the
place of each id: that of a video (or its URL), or of the folder of a dataset or project.
"""

from .sampling import (
    ApiContext,
    SamplingSettings,
    sample_video,
    sample_video_dataset,
    sample_video_project,
)
from .streaming import (
    async_stream_video_frames,
    async_stream_video_frames_to_dir,
    stream_video_frames_to_dir,
)

__all__ = [
    "ApiContext",
    "SamplingSettings",
    "async_stream_video_frames",
    "async_stream_video_frames_to_dir",
    "sample_video",
    "sample_video_dataset",
    "sample_video_project",
    "stream_video_frames_to_dir",
]
