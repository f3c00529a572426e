import pickle

import numpy as np
import pytest
from optional import needed_above
from truth_frames import SAMPLES, read_number, true_frames

datasets = needed_above("datasets")
import pvio_lab as pv  # noqa: E402
from pvio_lab.scale import hf  # noqa: E402

pytestmark = pytest.mark.ray

SHAPES = SAMPLES / "shapes.mp4"


def frames_of(seconds, path=SHAPES, **options):
    rows = [{"path": str(path), "timestamp": float(each)} for each in seconds]
    dataset = datasets.Dataset.from_dict({"frame": rows, "n": list(range(len(rows)))})
    return dataset.cast_column("frame", pv.VideoFrame(**options))


def number_in(frame):
    return read_number(np.asarray(frame).transpose(1, 2, 0))


def test_a_value_is_the_frame_of_ffmpeg_at_that_time():
    frame = frames_of([0, 1.5, 9.97])[1]["frame"]
    assert (frame.permute(1, 2, 0).numpy() == true_frames(SHAPES)[45]).all()


def test_torch_and_numpy_formats():
    dataset = frames_of([0.5, 1.0])
    batch = dataset.with_format("torch")[:]["frame"]
    assert [number_in(frame) for frame in batch] == [15, 30]
    assert [number_in(frame) for frame in dataset.with_format("numpy")[:]["frame"]] == [15, 30]


def test_times_of_32_bits_are_near_enough():
    seconds = np.arange(300) / 30
    assert [number_in(row["frame"]) for row in frames_of(seconds)] == list(range(300))


def test_a_time_outside_is_an_error():
    with pytest.raises(pv.FrameTimestampError, match=r"shapes\.mp4"):
        _ = frames_of([11.0])[0]["frame"]
    with pytest.raises(pv.FrameTimestampError):
        _ = frames_of([0.01], tolerance_seconds=0.001)[0]["frame"]


def test_without_decoding_it_is_path_and_time():
    value = frames_of([0.5], decode=False)[0]["frame"]
    assert value == {"path": str(SHAPES), "timestamp": 0.5}


def test_it_is_stored_and_found_again(tmp_path):
    frames_of([0.5]).save_to_disk(tmp_path / "saved")
    again = datasets.load_from_disk(str(tmp_path / "saved"))
    assert again.features["frame"] == pv.VideoFrame()
    assert number_in(again[0]["frame"]) == 15


def test_encoding_takes_rows_with_features():
    features = datasets.Features({"frame": pv.VideoFrame()})
    rows = [{"frame": {"path": SHAPES, "timestamp": 2}}]
    assert number_in(datasets.Dataset.from_list(rows, features)[0]["frame"]) == 60
    with pytest.raises(ValueError, match="must be"):
        pv.VideoFrame().encode_example({"path": "a"})


def test_rows_without_a_frame_stay_empty():
    rows = [{"path": str(SHAPES), "timestamp": 0.0}, None]
    dataset = datasets.Dataset.from_dict({"frame": rows}).cast_column("frame", pv.VideoFrame())
    assert dataset[1]["frame"] is None


def test_few_readers_stay_open(monkeypatch):
    monkeypatch.setattr(hf._READERS, "_limit", 2)
    for name in ("gop2.mp4", "shapes.mp4", "all_intra.mp4"):
        _ = frames_of([0], SAMPLES / name)[0]["frame"]
    assert len(hf._READERS) == 2


def test_it_is_pickled_and_works_in_processes():
    assert pickle.loads(pickle.dumps(pv.VideoFrame())) == pv.VideoFrame()
    dataset = frames_of([0.5, 1.0, 1.5, 2.0])
    _ = dataset[0]["frame"]  # a reader is open in the parent
    found = dataset.map(lambda row: {"shown": number_in(row["frame"])}, num_proc=2, remove_columns=["frame"])
    assert found["shown"][:] == [15, 30, 45, 60]
