"""LeRobot's video tools, used as LeRobot uses them."""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from truth_frames import SAMPLES, true_frames
from written import FRAMES, numbers_in

import pvio_lab as pv
from pvio_lab.compat import lerobot
from pvio_lab.compat.lerobot.datasets import video_utils
from pvio_lab.compat.lerobot.datasets.writer_options import writer_options

CLIP = SAMPLES / "gop2.mp4"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(FRAMES[number]).save(folder / f"frame-{number:06d}.png")
    Image.fromarray(FRAMES[30]).save(folder / "frame-1234567.png")
    Image.fromarray(FRAMES[31]).save(folder / "frame-00000a.png")
    return folder


@pytest.mark.parametrize("name", lerobot.__all__)
def test_each_name_is_in_both_places(name):
    if name == "VideoFrame":
        pytest.importorskip("datasets")
    assert getattr(lerobot, name) is getattr(video_utils, name)


@pytest.mark.parametrize("backend", [None, "torchcodec", "pyav", "video_reader"])
def test_frames_by_time(backend):
    times = [1.0, 0.0, 59 / 30]
    frames = lerobot.decode_video_frames(CLIP, times, 1e-4, backend)
    assert (frames.dtype, frames.shape) == (torch.float32, (3, 3, 240, 320))
    truth = true_frames(CLIP)[[30, 0, 59]]
    assert (frames.mul(255).round().byte().movedim(1, -1).numpy() == truth).all()


@pytest.mark.parametrize("tolerance", [0.0, 0.01, 1 / 60])
def test_a_frame_has_to_be_closer_than_the_tolerance(tolerance):
    with pytest.raises(lerobot.FrameTimestampError, match="tolerance_s"):
        lerobot.decode_video_frames(CLIP, [0.0, 1 / 60], tolerance)


def test_an_unknown_backend():
    with pytest.raises(ValueError, match="Unsupported video backend: 'cuda'"):
        lerobot.decode_video_frames(CLIP, [0.0], 1e-4, "cuda")


def test_an_unknown_backend_of_torchvision():
    with pytest.raises(ValueError, match="backend='torchcodec'"):
        lerobot.decode_video_frames_torchvision(CLIP, [0.0], 1e-4, "torchcodec")


def test_a_cache_of_decoders(tmp_path):
    cache, copy = lerobot.VideoDecoderCache(), tmp_path / "copy.mp4"
    shutil.copy(CLIP, copy)
    decoder = cache.get_decoder(str(CLIP))
    assert cache.get_decoder(CLIP) is decoder
    lerobot.decode_video_frames_torchcodec(copy, [0.0], 1e-4, decoder_cache=cache)
    assert cache.size() == 2
    batch = decoder.get_frames_at(
        indices=[round(seconds * decoder.metadata.average_fps) for seconds in (1, 0)]
    )
    assert (batch.data.movedim(1, -1).numpy() == true_frames(CLIP)[[30, 0]]).all()
    assert batch.pts_seconds.tolist() == [1.0, 0.0]
    cache.clear()
    assert cache.size() == 0


def test_images_become_a_video(images, tmp_path):
    video = tmp_path / "videos" / "episode.mp4"
    assert lerobot.encode_video_frames(images, video, 25) is None
    assert numbers_in(video) == list(range(12))
    with pv.VideoReader(video) as reader:
        assert (reader.info.codec, reader.fps) == ("av1", 25)
        assert reader.index.keyframes.tolist() == list(range(0, 12, 2))


@pytest.mark.parametrize("options", [{"crf": None}, {"g": None}, {"fast_decode": 1, "encoder_threads": 1}])
@pytest.mark.parametrize("vcodec", ["h264", "hevc", "libsvtav1"])
def test_options_of_encoders(vcodec, options, images, tmp_path):
    lerobot.encode_video_frames(images, tmp_path / "episode.mp4", 25, vcodec, **options)
    assert numbers_in(tmp_path / "episode.mp4") == list(range(12))


def test_a_video_that_is_there_stays(images, tmp_path, caplog):
    video = tmp_path / "episode.mp4"
    video.write_bytes(b"mine")
    lerobot.encode_video_frames(images, video, 25)
    lerobot.concatenate_video_files([CLIP], video, overwrite=False)
    assert video.read_bytes() == b"mine"
    assert caplog.text.count("already exists") == 2
    lerobot.encode_video_frames(images, video, 25, overwrite=True)
    assert len(numbers_in(video)) == 12


def test_no_images_and_no_videos(tmp_path):
    with pytest.raises(FileNotFoundError, match="No images found"):
        lerobot.encode_video_frames(tmp_path, tmp_path / "a.mp4", 25)
    with pytest.raises(FileNotFoundError, match="No input video paths"):
        lerobot.concatenate_video_files([], tmp_path / "b.mp4")


def test_joining(tmp_path):
    lerobot.concatenate_video_files([CLIP, CLIP], tmp_path / "new" / "both.mp4")
    assert numbers_in(tmp_path / "new" / "both.mp4") == numbers_in(CLIP) * 2


def test_facts():
    info = lerobot.get_video_info(SAMPLES / "with_sound.mp4")
    assert info | {"audio.bit_rate": 0} == {
        "video.height": 240,
        "video.width": 320,
        "video.codec": "h264",
        "video.pix_fmt": "yuv420p",
        "video.is_depth_map": False,
        "video.fps": 30,
        "video.channels": 3,
        "audio.channels": 2,
        "audio.codec": "aac",
        "audio.bit_rate": 0,
        "audio.sample_rate": 44100,
        "audio.bit_depth": 32,
        "audio.channel_layout": "stereo",
        "has_audio": True,
    }
    assert lerobot.get_audio_info(CLIP) == {"has_audio": False}
    assert lerobot.get_video_duration_in_s(CLIP) == pytest.approx(
        pv.get_video_metadata(CLIP).duration_seconds
    )


@pytest.mark.parametrize(
    ("pix_fmt", "channels"), [("gray16le", 1), ("yuv420p", 3), ("rgb24", 3), ("rgba", 4)]
)
def test_channels(pix_fmt, channels):
    assert lerobot.get_video_pixel_channels(pix_fmt) == channels


def test_the_choice_of_an_encoder(monkeypatch):
    assert lerobot.resolve_vcodec("h264") == "h264"
    for found, chosen in (([], "libsvtav1"), (["h264_qsv", "hevc_nvenc"], "hevc_nvenc")):
        monkeypatch.setattr(video_utils, "detect_available_hw_encoders", lambda found=found: found)
        assert lerobot.resolve_vcodec("auto") == chosen
    with pytest.raises(ValueError, match="Invalid vcodec 'x264'"):
        lerobot.resolve_vcodec("x264")


@pytest.fixture
def recorder():
    recorder = lerobot.StreamingVideoEncoder(25, vcodec="h264", queue_maxsize=40)
    yield recorder
    recorder.close()


def test_episodes(recorder, tmp_path):
    keys = ["observation.images/front", "observation.images.wrist"]
    for count in (3, 12):
        recorder.start_episode(keys, tmp_path)
        for frame in FRAMES[:count]:
            recorder.feed_frame(keys[0], frame)
            recorder.feed_frame(keys[1], frame.transpose(2, 0, 1))
        videos = recorder.finish_episode()
        assert list(videos) == keys
        for key, (path, stats) in videos.items():
            assert path.name == f"{key.replace('/', '_')}_streaming.mp4"
            assert numbers_in(path) == list(range(count))
            assert {name: stats[name].shape for name in ("mean", "q99", "count")} == {
                "mean": (3,),
                "q99": (3,),
                "count": (1,),
            }
    assert len({path.parent for path, _ in videos.values()} | {tmp_path}) == 3


def test_starting_and_closing_cancel(recorder, tmp_path):
    recorder.start_episode(["front"], tmp_path)
    recorder.feed_frame("front", FRAMES[0])
    recorder.start_episode(["wrist"], tmp_path)
    recorder.feed_frame("wrist", FRAMES[0])
    assert len(list(tmp_path.iterdir())) == 1
    recorder.close()
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_one_frame_has_no_statistics_and_none_no_file(recorder, tmp_path):
    recorder.start_episode(["one", "none"], tmp_path)
    recorder.feed_frame("one", FRAMES[0])
    videos = recorder.finish_episode()
    assert [(path.exists(), stats) for path, stats in videos.values()] == [(True, None), (False, None)]


def test_errors_of_a_recorder(recorder, tmp_path):
    with pytest.raises(RuntimeError, match="No active episode"):
        recorder.feed_frame("front", FRAMES[0])
    with pytest.raises(RuntimeError, match="No active episode"):
        recorder.finish_episode()
    recorder.start_episode(["front"], tmp_path)
    with pytest.raises(KeyError):
        recorder.feed_frame("wrist", FRAMES[0])


def test_an_episode_that_cannot_start_leaves_nothing(tmp_path):
    recorder = lerobot.StreamingVideoEncoder(25, vcodec="h264", crf=99)
    with pytest.raises(ValueError, match="crf=99"):
        recorder.start_episode(["front"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_end_of_an_episode_cancels_it(recorder, tmp_path, monkeypatch):
    class Interrupted:
        def result(self, *_):
            raise KeyboardInterrupt

    recorder.start_episode(["front"], tmp_path)
    recorder.feed_frame("front", FRAMES[0])
    pool = Mock(__enter__=lambda pool: pool, __exit__=lambda *_: None, submit=lambda _: Interrupted())
    monkeypatch.setattr("pvio_lab.compat.lerobot.datasets.recording.ThreadPoolExecutor", lambda _: pool)
    with pytest.raises(KeyboardInterrupt):
        recorder.finish_episode()
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_takes_too_long(recorder, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("pvio_lab.compat.lerobot.datasets.recording._FINISH_SECONDS", 0.0)
    recorder.start_episode(["front"], tmp_path)
    recorder.feed_frame("front", FRAMES[0])
    path, stats = recorder.finish_episode()["front"]
    assert (path.exists(), stats) == (False, None)
    assert "did not finish in time" in caplog.text


def test_the_total_of_dropped_frames_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("pvio_lab.compat.lerobot.datasets.recording._WAIT_SECONDS", 1e-6)
    recorder = lerobot.StreamingVideoEncoder(25, vcodec="h264", queue_maxsize=1)
    recorder.start_episode(["front"], tmp_path)
    large = np.zeros((720, 1280, 3), np.uint8)
    for _ in range(100):
        recorder.feed_frame("front", large)
    with caplog.at_level(logging.WARNING):
        path, _ = recorder.finish_episode()["front"]
    dropped = recorder._dropped_frames["front"]
    assert dropped > 0
    assert f"{dropped} dropped frame(s) for front" in caplog.text
    assert pv.get_video_metadata(path, cache=False).num_frames == 100 - dropped


@pytest.mark.parametrize(("last", "status"), [(None, "ok"), ("no picture", "error")])
def test_a_thread_that_records_from_a_queue(last, status, tmp_path):
    frames, results, stop = queue.Queue(), queue.Queue(), threading.Event()
    path = tmp_path / "new" / "front.mp4"
    thread = lerobot._CameraEncoderThread(
        path, 25, "h264", "yuv420p", 2, 30, None, frames, results, stop, encoder_threads=1
    )
    thread.start()
    for frame in [*FRAMES[:5], last]:
        frames.put(frame)
    thread.join(60)
    assert results.get(timeout=0)[0] == status
    assert path.exists() == (status == "ok")


@pytest.mark.parametrize("vcodec", ["h264_nvenc", "h264_qsv", "hevc_videotoolbox"])
def test_options_of_hardware_encoders(vcodec):
    options = writer_options(vcodec, "yuv420p", 2, 30, None, fast_decode=1, encoder_threads=2)
    assert (options["codec"], options["pixel_format"]) == (vcodec, None)
    assert writer_options(vcodec, "yuv444p", 2, 30, None)["pixel_format"] == "yuv444p"


def guarded(tmp_path, **more):
    images = tmp_path / "images" / "front" / "episode-000003"
    images.mkdir(parents=True)
    return Mock(
        root=tmp_path,
        num_episodes=3,
        episodes_since_last_encoding=2,
        meta=SimpleNamespace(video_keys=["front"]),
        _get_image_file_path=lambda **_: images / "frame-000000.png",
        **more,
    )


def test_a_guard_encodes_what_is_left(tmp_path):
    dataset = guarded(tmp_path, _streaming_encoder=None)
    with lerobot.VideoEncodingManager(dataset):
        pass
    dataset._batch_save_episode_video.assert_called_once_with(1, 3)
    dataset.finalize.assert_called_once_with()
    assert not (tmp_path / "images").exists()


def test_a_guard_clears_up_after_an_exception(tmp_path):
    dataset = guarded(tmp_path, _streaming_encoder=None)
    other = tmp_path / "images" / "frame-000000.png"
    other.write_bytes(b"")
    with pytest.raises(KeyboardInterrupt), lerobot.VideoEncodingManager(dataset):
        raise KeyboardInterrupt
    assert not (tmp_path / "images" / "front" / "episode-000003").exists()
    assert other.exists()


def test_a_guard_of_a_streaming_encoder(tmp_path):
    dataset = guarded(tmp_path, _streaming_encoder=Mock())
    with pytest.raises(ZeroDivisionError), lerobot.VideoEncodingManager(dataset):
        raise ZeroDivisionError
    dataset._streaming_encoder.cancel_episode.assert_called_once_with()
    dataset._streaming_encoder.close.assert_called_once_with()
    dataset._batch_save_episode_video.assert_not_called()


def test_the_feature_keeps_paths_and_times(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {"image": [{"path": str(CLIP), "timestamp": 1.0}]}
    features = datasets.Features({"image": lerobot.VideoFrame()})
    dataset = datasets.Dataset.from_dict(rows, features=features)
    assert dataset[0]["image"] == {"path": str(CLIP), "timestamp": 1.0}
    dataset.save_to_disk(tmp_path)
    assert datasets.load_from_disk(tmp_path)[0] == dataset[0]
    assert str(lerobot.VideoFrame()()) == "struct<path: string, timestamp: float>"
