"""pvio_lab: a workbench for video in Python. Frames you can trust, measured speed, notebooks that teach."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives. Nothing is imported before it is used.
_HOMES = {
    "AudioInfo": "read.facts",
    "ClipCosts": "scale.costs",
    "ClipDataset": "load.clips",
    "DecodeError": "errors",
    "DoctorReport": "measure.doctor",
    "EncodeError": "errors",
    "EncoderInfo": "write.encoders",
    "EpisodeVideo": "write.camera",
    "Fetching": "read.fetching",
    "FrameBrowser": "view.browser",
    "FrameIndex": "read.index",
    "FrameStats": "write.stats",
    "FrameTimestampError": "errors",
    "ImageSequence": "read.images",
    "JobEstimate": "scale.estimate",
    "JobReport": "scale.report",
    "OpenError": "errors",
    "PrepareVideoStage": "scale.ray_data",
    "PrepareVideoUDF": "scale.ray_data",
    "ReadProfile": "measure.profile",
    "SampleReport": "write.sample_report",
    "ScanReport": "read.scan",
    "SourceError": "errors",
    "StreamingVideoEncoder": "write.recorder",
    "ThroughputProfiler": "view.profiler",
    "ThroughputReport": "measure.report",
    "VideoCollectionDataLoader": "load.loader",
    "VideoCollectionDataset": "load.dataset",
    "VideoError": "errors",
    "VideoFrame": "scale.video_frame",
    "VideoInfo": "read.facts",
    "VideoProcessor": "scale.prepare",
    "VideoReader": "read.reader",
    "VideoWriter": "write.writer",
    "WorkerChoice": "measure.worker_report",
    "WorkerExplorer": "view.explorer",
    "WorkerReport": "measure.worker_report",
    "async_stream_video_frames_to_dir": "write.streaming",
    "available_encoders": "write.probe",
    "browse": "view.browser",
    "compare_workers": "measure.workers",
    "concatenate_video_files": "write.concat",
    "decode_video_frames": "read.functions",
    "doctor": "measure.doctor",
    "encode_video_frames": "write.functions",
    "estimate_job": "scale.estimate",
    "explore_workers": "view.explorer",
    "filmstrip": "view.plots",
    "get_video_metadata": "read.metadata",
    "measure_clips": "scale.sample",
    "measure_throughput": "measure.throughput",
    "open_video": "read.functions",
    "plot_gops": "view.plots",
    "prepare_videos": "scale.ray_data",
    "process_manifest": "scale.ray_job",
    "profile_reads": "measure.profile",
    "profile_throughput": "view.profiler",
    "read_frames_from_video": "read.functions",
    "sample_indices": "read.sampling",
    "sample_video": "write.extract",
    "sample_video_tree": "write.extract",
    "scan_videos": "read.scan",
    "stream_video_frames": "write.streaming",
    "stream_video_frames_to_dir": "write.streaming",
    "suggest_workers": "measure.suggest",
    "video_arrays": "scale.columns",
    "video_sources": "scale.messages",
    "write_frames_to_video": "write.functions",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from .errors import DecodeError as DecodeError
    from .errors import EncodeError as EncodeError
    from .errors import FrameTimestampError as FrameTimestampError
    from .errors import OpenError as OpenError
    from .errors import SourceError as SourceError
    from .errors import VideoError as VideoError
    from .load.clips import ClipDataset as ClipDataset
    from .load.dataset import VideoCollectionDataset as VideoCollectionDataset
    from .load.loader import VideoCollectionDataLoader as VideoCollectionDataLoader
    from .measure.doctor import DoctorReport as DoctorReport
    from .measure.doctor import doctor as doctor
    from .measure.profile import ReadProfile as ReadProfile
    from .measure.profile import profile_reads as profile_reads
    from .measure.report import ThroughputReport as ThroughputReport
    from .measure.suggest import suggest_workers as suggest_workers
    from .measure.throughput import measure_throughput as measure_throughput
    from .measure.worker_report import WorkerChoice as WorkerChoice
    from .measure.worker_report import WorkerReport as WorkerReport
    from .measure.workers import compare_workers as compare_workers
    from .read.facts import AudioInfo as AudioInfo
    from .read.facts import VideoInfo as VideoInfo
    from .read.fetching import Fetching as Fetching
    from .read.functions import decode_video_frames as decode_video_frames
    from .read.functions import open_video as open_video
    from .read.functions import read_frames_from_video as read_frames_from_video
    from .read.images import ImageSequence as ImageSequence
    from .read.index import FrameIndex as FrameIndex
    from .read.metadata import get_video_metadata as get_video_metadata
    from .read.reader import VideoReader as VideoReader
    from .read.sampling import sample_indices as sample_indices
    from .read.scan import ScanReport as ScanReport
    from .read.scan import scan_videos as scan_videos
    from .scale.columns import video_arrays as video_arrays
    from .scale.costs import ClipCosts as ClipCosts
    from .scale.estimate import JobEstimate as JobEstimate
    from .scale.estimate import estimate_job as estimate_job
    from .scale.messages import video_sources as video_sources
    from .scale.prepare import VideoProcessor as VideoProcessor
    from .scale.ray_data import PrepareVideoStage as PrepareVideoStage
    from .scale.ray_data import PrepareVideoUDF as PrepareVideoUDF
    from .scale.ray_data import prepare_videos as prepare_videos
    from .scale.ray_job import process_manifest as process_manifest
    from .scale.report import JobReport as JobReport
    from .scale.sample import measure_clips as measure_clips
    from .scale.video_frame import VideoFrame as VideoFrame
    from .view.browser import FrameBrowser as FrameBrowser
    from .view.browser import browse as browse
    from .view.explorer import WorkerExplorer as WorkerExplorer
    from .view.explorer import explore_workers as explore_workers
    from .view.plots import filmstrip as filmstrip
    from .view.plots import plot_gops as plot_gops
    from .view.profiler import ThroughputProfiler as ThroughputProfiler
    from .view.profiler import profile_throughput as profile_throughput
    from .write.camera import EpisodeVideo as EpisodeVideo
    from .write.concat import concatenate_video_files as concatenate_video_files
    from .write.encoders import EncoderInfo as EncoderInfo
    from .write.extract import sample_video as sample_video
    from .write.extract import sample_video_tree as sample_video_tree
    from .write.functions import encode_video_frames as encode_video_frames
    from .write.functions import write_frames_to_video as write_frames_to_video
    from .write.probe import available_encoders as available_encoders
    from .write.recorder import StreamingVideoEncoder as StreamingVideoEncoder
    from .write.sample_report import SampleReport as SampleReport
    from .write.stats import FrameStats as FrameStats
    from .write.streaming import async_stream_video_frames_to_dir as async_stream_video_frames_to_dir
    from .write.streaming import stream_video_frames as stream_video_frames
    from .write.streaming import stream_video_frames_to_dir as stream_video_frames_to_dir
    from .write.writer import VideoWriter as VideoWriter


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
