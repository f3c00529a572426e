"""The public names, frozen: an addition is made here too, a removal never happens by accident."""

from __future__ import annotations

import pytest

import pvio_lab as pv

PUBLIC = [
    "Audio",
    "AudioInfo",
    "ClipCosts",
    "ClipDataset",
    "DecodeError",
    "DoctorReport",
    "EncodeError",
    "EncoderInfo",
    "EpisodeVideo",
    "Fetching",
    "FrameBrowser",
    "FrameIndex",
    "FrameStats",
    "FrameTimestampError",
    "ImageSequence",
    "JobEstimate",
    "JobReport",
    "OpenError",
    "PrepareVideoStage",
    "PrepareVideoUDF",
    "ReadProfile",
    "SampleReport",
    "ScanReport",
    "SourceError",
    "StreamingVideoEncoder",
    "ThroughputProfiler",
    "ThroughputReport",
    "VideoCollectionDataLoader",
    "VideoCollectionDataset",
    "VideoError",
    "VideoFrame",
    "VideoInfo",
    "VideoProcessor",
    "VideoReader",
    "VideoWriter",
    "WorkerChoice",
    "WorkerExplorer",
    "WorkerReport",
    "async_stream_video_frames_to_dir",
    "available_encoders",
    "browse",
    "compare_workers",
    "compat",
    "concatenate_video_files",
    "decode_video_frames",
    "doctor",
    "encode_video_frames",
    "estimate_job",
    "explore_workers",
    "filmstrip",
    "get_video_metadata",
    "measure_clips",
    "measure_throughput",
    "open_video",
    "plot_gops",
    "prepare_videos",
    "process_manifest",
    "profile_reads",
    "profile_throughput",
    "read_audio",
    "read_frames_from_video",
    "sample_indices",
    "sample_video",
    "sample_video_tree",
    "scan_videos",
    "stream_video_frames",
    "stream_video_frames_to_dir",
    "suggest_workers",
    "video_arrays",
    "video_sources",
    "write_frames_to_video",
]

# The names that are not there without an optional package.


def test_the_public_names_are_these():
    assert pv.__all__ == PUBLIC == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_imports_and_explains_itself(name):
    value = getattr(pv, name)
    assert value.__name__ in (name, f"pvio_lab.{name}")
    assert value.__doc__


def test_dir_lists_the_public_names():
    assert set(PUBLIC) <= set(dir(pv))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'read_vidoe'"):
        _ = pv.read_vidoe
