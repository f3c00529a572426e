"""The interface of parallel-video-io 0.1.3 and 0.1.4: `pvio.video_io` and `pvio.torch`.

Later versions have other names, such as `pvio.io` and `pvio.torch_tools`, which are not here.
"""

from .torch import VideoCollectionDataLoader, VideoCollectionDataset
from .video_io import check_num_frames, get_video_metadata, read_frames_from_video, write_frames_to_video

__all__ = [
    "VideoCollectionDataLoader",
    "VideoCollectionDataset",
    "check_num_frames",
    "get_video_metadata",
    "read_frames_from_video",
    "write_frames_to_video",
]
