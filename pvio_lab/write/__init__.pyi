from .encoders import MUXERS as MUXERS
from .encoders import suffix_of as suffix_of
from .encoding import available_encoders as available_encoders
from .join.concat import concatenate_video_files as concatenate_video_files
from .recorder import StreamingVideoEncoder as StreamingVideoEncoder
from .writer import VideoWriter as VideoWriter
from .writer import write_frames_to_video as write_frames_to_video
