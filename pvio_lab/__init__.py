"""pvio_lab: a workbench for video in Python. Frames you can trust, measured speed, notebooks that teach."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives. Nothing is imported before it is used.
_HOMES = {
    "AudioInfo": "read.info",
    "ClipCosts": "scale.jobs.costs",
    "ClipDataset": "load.clips",
    "DecodeError": "errors",
    "DoctorReport": "measure.doctor",
    "EncodeError": "errors",
    "EncoderInfo": "write.codecs",
    "EpisodeVideo": "write.camera",
    "Fetching": "read.sources.options",
    "FrameBrowser": "view.browser.widget",
    "FrameIndex": "read.decode.index",
    "FrameStats": "write.stats",
    "FrameTimestampError": "errors",
    "ImageSequence": "read.images",
    "JobEstimate": "scale.jobs.estimate",
    "JobReport": "scale.jobs.report",
    "OpenError": "errors",
    "PrepareVideoStage": "scale.ray_stage",
    "PrepareVideoUDF": "scale.ray_stage",
    "ReadProfile": "measure.profile",
    "SampleReport": "write.sample.report",
    "ScanReport": "read.scan",
    "SourceError": "errors",
    "StreamingVideoEncoder": "write.recorder",
    "ThroughputProfiler": "view.panels.profiler",
    "ThroughputReport": "measure.reports",
    "VideoCollectionDataLoader": "load.loader",
    "VideoCollectionDataset": "load.dataset",
    "VideoError": "errors",
    "VideoFrame": "scale.hf",
    "VideoInfo": "read.info",
    "VideoProcessor": "scale.processor",
    "VideoReader": "read.reader",
    "VideoWriter": "write.writer",
    "WorkerChoice": "measure.reports",
    "WorkerExplorer": "view.panels.explorer",
    "WorkerReport": "measure.reports",
    "async_stream_video_frames_to_dir": "write.streaming",
    "available_encoders": "write.probe",
    "browse": "view.browser.widget",
    "compare_workers": "measure.workers",
    "concatenate_video_files": "write.join.concat",
    "decode_video_frames": "read.shortcuts",
    "doctor": "measure.doctor",
    "encode_video_frames": "write.shortcuts",
    "estimate_job": "scale.jobs.estimate",
    "explore_workers": "view.panels.explorer",
    "filmstrip": "view.plots",
    "get_video_metadata": "read.sidecar",
    "measure_clips": "scale.jobs.sample",
    "measure_throughput": "measure.throughput",
    "open_video": "read.shortcuts",
    "plot_gops": "view.plots",
    "prepare_videos": "scale.ray_stage",
    "process_manifest": "scale.jobs.job",
    "profile_reads": "measure.profile",
    "profile_throughput": "view.panels.profiler",
    "read_frames_from_video": "read.shortcuts",
    "sample_indices": "read.sampling",
    "sample_video": "write.sample.api",
    "sample_video_tree": "write.sample.api",
    "scan_videos": "read.scan",
    "stream_video_frames": "write.streaming",
    "stream_video_frames_to_dir": "write.streaming",
    "suggest_workers": "measure.suggest",
    "video_arrays": "scale.arrow",
    "video_sources": "scale.messages",
    "write_frames_to_video": "write.shortcuts",
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
    from .measure.reports import ThroughputReport as ThroughputReport
    from .measure.reports import WorkerChoice as WorkerChoice
    from .measure.reports import WorkerReport as WorkerReport
    from .measure.suggest import suggest_workers as suggest_workers
    from .measure.throughput import measure_throughput as measure_throughput
    from .measure.workers import compare_workers as compare_workers
    from .read.decode.index import FrameIndex as FrameIndex
    from .read.images import ImageSequence as ImageSequence
    from .read.info import AudioInfo as AudioInfo
    from .read.info import VideoInfo as VideoInfo
    from .read.reader import VideoReader as VideoReader
    from .read.sampling import sample_indices as sample_indices
    from .read.scan import ScanReport as ScanReport
    from .read.scan import scan_videos as scan_videos
    from .read.shortcuts import decode_video_frames as decode_video_frames
    from .read.shortcuts import open_video as open_video
    from .read.shortcuts import read_frames_from_video as read_frames_from_video
    from .read.sidecar import get_video_metadata as get_video_metadata
    from .read.sources.options import Fetching as Fetching
    from .scale.arrow import video_arrays as video_arrays
    from .scale.hf import VideoFrame as VideoFrame
    from .scale.jobs.costs import ClipCosts as ClipCosts
    from .scale.jobs.estimate import JobEstimate as JobEstimate
    from .scale.jobs.estimate import estimate_job as estimate_job
    from .scale.jobs.job import process_manifest as process_manifest
    from .scale.jobs.report import JobReport as JobReport
    from .scale.jobs.sample import measure_clips as measure_clips
    from .scale.messages import video_sources as video_sources
    from .scale.processor import VideoProcessor as VideoProcessor
    from .scale.ray_stage import PrepareVideoStage as PrepareVideoStage
    from .scale.ray_stage import PrepareVideoUDF as PrepareVideoUDF
    from .scale.ray_stage import prepare_videos as prepare_videos
    from .view.browser.widget import FrameBrowser as FrameBrowser
    from .view.browser.widget import browse as browse
    from .view.panels.explorer import WorkerExplorer as WorkerExplorer
    from .view.panels.explorer import explore_workers as explore_workers
    from .view.panels.profiler import ThroughputProfiler as ThroughputProfiler
    from .view.panels.profiler import profile_throughput as profile_throughput
    from .view.plots import filmstrip as filmstrip
    from .view.plots import plot_gops as plot_gops
    from .write.camera import EpisodeVideo as EpisodeVideo
    from .write.codecs import EncoderInfo as EncoderInfo
    from .write.join.concat import concatenate_video_files as concatenate_video_files
    from .write.probe import available_encoders as available_encoders
    from .write.recorder import StreamingVideoEncoder as StreamingVideoEncoder
    from .write.sample.api import sample_video as sample_video
    from .write.sample.api import sample_video_tree as sample_video_tree
    from .write.sample.report import SampleReport as SampleReport
    from .write.shortcuts import encode_video_frames as encode_video_frames
    from .write.shortcuts import write_frames_to_video as write_frames_to_video
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
