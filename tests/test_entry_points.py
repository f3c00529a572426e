"""Each function that takes sources obeys limits on what it may open, and shows no secrets."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import traceback
from contextlib import suppress

import pytest
import torch
from optional import needs
from torch.utils.data import DataLoader
from truth_frames import SAMPLES, true_frames, wrong_frames
from unruly_server import PASSWORD, serving

import pvio_lab as pv
from pvio_lab import Fetching, SourceError
from pvio_lab.measure import Stop
from pvio_lab.scale import Work, process_clip

CLIP, IMAGES = str(SAMPLES / "gop2.mp4"), str(SAMPLES / "numbered")

# Results, errors, and what takes no source: a directory that is written from or to, a dataset or a reader.
WITHOUT_SOURCES = set(
    "Audio AudioInfo ClipCosts DecodeError DoctorReport EncodeError EncoderInfo EpisodeVideo Fetching compat "
    "FrameBrowser FrameIndex FrameStats FrameTimestampError ImageSequence JobEstimate JobReport OpenError "
    "PrepareVideoStage ReadProfile SampleReport ScanReport SourceError StreamingVideoEncoder "
    "ThroughputProfiler ThroughputReport VideoCollectionDataLoader VideoError VideoInfo VideoWriter "
    "WorkerChoice WorkerExplorer WorkerReport available_encoders compare_workers doctor encode_video_frames "
    "estimate_job sample_indices suggest_workers video_arrays video_sources write_frames_to_video".split()
)


def listened(source, fetching):
    try:
        pv.read_audio(source, fetching=fetching)
    except pv.OpenError as error:
        if "there is no sound in" not in str(error):
            raise


def loaded(source, fetching, kind):
    dataset = pv.VideoCollectionDataset([source], fetching=fetching)
    return list(pv.VideoCollectionDataLoader(dataset, num_workers=1, worker_kind=kind))


def measured(source, fetching):
    brief = {"patterns": ["random"], "readers": ["pvio_lab"], "seconds": 0.01, "repeats": 1}
    return pv.measure_throughput(source, **brief, progress=False, fetching=fetching)


def profiled(source, fetching):
    panel = pv.profile_throughput(source, fetching=fetching)
    return list(panel._measure(panel._options(), Stop()))


def explored(source, fetching):
    steps = pv.explore_workers(source, fetching=fetching)
    return list(steps._dataset)


def processed(source, fetching):
    return pv.VideoProcessor(fetching=fetching).process_sync([source])[0]["meta"]


def prepared(source, fetching):
    needs("ray.data")
    udf = pv.PrepareVideoUDF("rows", fetching=fetching)
    chat = [{"role": "user", "content": [{"type": "video", "video": source}]}]

    async def first():
        return await anext(udf({"rows": [{"messages": chat}]}))

    return asyncio.run(first())["rows"][0]["video_meta"][0]


def in_a_column(source, fetching):
    needs("datasets")
    return pv.VideoFrame(fetching=fetching).decode_example({"path": source, "timestamp": 0.0})


def awaited(make):
    async def all_of_it():
        given = make()
        return await given if inspect.isawaitable(given) else [item async for item in given]

    return asyncio.run(all_of_it())


# What opens a source, or says why not.
OPENERS = {
    "VideoReader": lambda s, f, _: pv.VideoReader(s, fetching=f),
    "open_video": lambda s, f, _: pv.open_video(s, fetching=f),
    "get_video_metadata": lambda s, f, _: pv.get_video_metadata(s, cache=False, fetching=f),
    "read_frames_from_video": lambda s, f, _: pv.read_frames_from_video(s, [0], fetching=f),
    "decode_video_frames": lambda s, f, _: pv.decode_video_frames(s, [0], 1, fetching=f),
    "read_audio": lambda s, f, _: listened(s, f),
    "scan_videos": lambda s, f, _: pv.scan_videos(s, progress=False, fetching=f),
    "browse": lambda s, f, _: pv.browse(s, fetching=f),
    "filmstrip": lambda s, f, _: pv.filmstrip(s, fetching=f),
    "plot_gops": lambda s, f, _: pv.plot_gops(s, fetching=f),
    "profile_reads": lambda s, f, _: pv.profile_reads(s, [0], fetching=f),
    "measure_throughput": lambda s, f, _: measured(s, f),
    "profile_throughput": lambda s, f, _: profiled(s, f),
    "explore_workers": lambda s, f, _: explored(s, f),
    "sample_video": lambda s, f, folder: pv.sample_video(s, folder, progress=False, fetching=f),
    "sample_video_tree": lambda s, f, folder: pv.sample_video_tree(s, folder, progress=False, fetching=f),
    "stream_video_frames": lambda s, f, _: awaited(lambda: pv.stream_video_frames(s, fetching=f)),
    "stream_video_frames_to_dir": lambda s, f, to: pv.stream_video_frames_to_dir(s, to, fetching=f),
    "async_stream_video_frames_to_dir": lambda s, f, to: awaited(
        lambda: pv.async_stream_video_frames_to_dir(s, to, fetching=f)
    ),
    "concatenate_video_files": lambda s, f, to: pv.concatenate_video_files([s], to / "a.mp4", fetching=f),
    "VideoCollectionDataset": lambda s, f, _: list(pv.VideoCollectionDataset([s], fetching=f)),
    "VideoCollectionDataset, images": lambda s, f, _: list(
        pv.VideoCollectionDataset([s], as_image_dirs=True, fetching=f)
    ),
    "VideoCollectionDataset, threads": lambda s, f, _: loaded(s, f, "thread"),
    "VideoCollectionDataset, processes": lambda s, f, _: loaded(s, f, "process"),
    "ClipDataset": lambda s, f, _: pv.ClipDataset([s], fetching=f)[0],
    "VideoProcessor": lambda s, f, _: processed(s, f),
    "PrepareVideoUDF": lambda s, f, _: prepared(s, f),
    "process_manifest": lambda s, f, _: process_clip({"clip": 0, "path": s}, Work(fetching=f))[
        "error_message"
    ],
    "VideoFrame": lambda s, f, _: in_a_column(s, f),
}
EXTRAS = {"PrepareVideoUDF", "VideoFrame"}
NAMES = [pytest.param(name, marks=[pytest.mark.ray] if name in EXTRAS else []) for name in OPENERS]
# With a real Ray, in test_ray_stage.py and test_job.py.
ELSEWHERE = {"prepare_videos", "measure_clips"}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PVIO_LAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def server():
    with serving(SAMPLES) as server:
        yield server


def test_what_takes_sources_takes_fetching_by_its_name():
    for name in set(pv.__all__) - WITHOUT_SOURCES:
        parameter = inspect.signature(getattr(pv, name)).parameters.get("fetching")
        assert parameter is not None, name
        assert (parameter.kind, parameter.default) == (parameter.KEYWORD_ONLY, None), name
    assert {name.partition(",")[0] for name in OPENERS} | ELSEWHERE == set(pv.__all__) - WITHOUT_SOURCES


@pytest.mark.parametrize("kind", ["path", "directory", "URL"])
@pytest.mark.parametrize("name", NAMES)
def test_what_strangers_may_not_name_is_refused(server, tmp_path, name, kind):
    server.counts.clear()
    source = {"path": CLIP, "directory": IMAGES, "URL": server.url("plain/gop2.mp4")}[kind]
    try:
        words = str(OPENERS[name](source, Fetching.untrusted(), tmp_path))
    except SourceError as error:
        words = str(error)
    assert "allow_private=False" in words or "allow_local=False" in words
    assert not server.counts


ALLOWED = Fetching(allow_private=True)
LOCAL = [SAMPLES / "gop2.mp4", SAMPLES / "all_intra.mp4"]


@pytest.fixture
def urls(server):
    return [server.url(f"versioned/{path.name}") for path in LOCAL]


def frames_of(paths, **options):
    dataset = pv.VideoCollectionDataset(paths, step=7, fetching=ALLOWED)
    batches = list(pv.VideoCollectionDataLoader(dataset, batch_size=16, **options))
    return torch.cat([batch["frames"] for batch in batches]).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(("worker_kind", "num_workers"), [("thread", 0), ("thread", 2), ("process", 1)])
def test_the_loader_reads_urls_as_it_reads_files(urls, worker_kind, num_workers):
    frames = frames_of(urls, worker_kind=worker_kind, num_workers=num_workers)
    assert not wrong_frames(frames[:9], true_frames(LOCAL[0])[::7])
    assert (frames == frames_of(LOCAL, num_workers=0)).all()


def test_clips_of_urls_are_those_of_files(urls):
    options = {"num_frames": 4, "seed": 5, "fetching": ALLOWED}
    with pv.ClipDataset(urls, **options) as clips, pv.ClipDataset(LOCAL, **options) as local:
        for clip, true in zip(clips, local, strict=True):
            assert (clip["frames"] == true["frames"]).all()


def test_a_url_and_a_file_are_joined(urls, tmp_path):
    pv.concatenate_video_files([urls[0], LOCAL[0]], tmp_path / "both.mp4", fetching=ALLOWED)
    with pv.VideoReader(tmp_path / "both.mp4") as reader:
        for part in (reader[:60], reader[60:]):
            assert not wrong_frames(part, true_frames(LOCAL[0]))


@pytest.mark.parametrize(
    "name", ["VideoCollectionDataset, threads", "ClipDataset", "concatenate_video_files"]
)
def test_what_was_fetched_before_is_refused_as_well(server, urls, tmp_path, name):
    OPENERS[name](urls[0], ALLOWED, tmp_path)
    server.counts.clear()
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 is a private address, and allow_private=False"):
        OPENERS[name](urls[0], Fetching(allow_private=False), tmp_path)
    assert not server.counts


WITHOUT_URLS = {"sample_video_tree", "VideoCollectionDataset, images", "profile_throughput"}
WITH_URLS = [each for each in NAMES if each.values[0] not in WITHOUT_URLS]
# In this process, and in others.
PLACES = ("VideoReader", "VideoProcessor", "scan_videos", "VideoCollectionDataset, processes")


@pytest.mark.parametrize("name", PLACES)
def test_headers_reach_the_server_and_nothing_else(server, tmp_path, name, caplog, capfd):
    headers = {"Authorization": PASSWORD, "X-Key": "s3cr3t"}
    result = OPENERS[name](server.url("locked/gop2.mp4"), Fetching(headers=headers), tmp_path)
    check_has_no_secrets(result, caplog.text, *capfd.readouterr())
    assert not any("s3cr3t" in text or PASSWORD in text for text in texts_in(tmp_path))


@pytest.mark.parametrize("name", WITH_URLS)
def test_a_url_is_handed_on_without_its_secrets(server, tmp_path, name, caplog, capfd, recwarn):
    url = server.url("locked/gop2.mp4", user="user:hunter2", query="token=s3cr3t")
    result = OPENERS[name](url, Fetching(), tmp_path)
    for missing in ("locked/missing.mp4", "status-500/gop2.mp4"):
        url = server.url(missing, user="user:hunter2", query="token=s3cr3t")
        try:
            result = [result, OPENERS[name](url, Fetching(retries=0), tmp_path)]
        except SourceError as error:
            result = [result, traceback.format_exception(error)]
    check_has_no_secrets(result, caplog.text, *capfd.readouterr(), *(str(each.message) for each in recwarn))
    assert not any("s3cr3t" in text or "hunter2" in text for text in texts_in(tmp_path))


def check_has_no_secrets(*given):
    """Look into what a result says of itself, in a notebook and as rows, and into its pickle."""
    for each in given:
        words = [repr(each), str(each)]
        for how in ("_repr_html_", "to_dicts"):
            words += [str(getattr(each, how)())] if hasattr(each, how) else []
        with suppress(TypeError, AttributeError, NotImplementedError, pickle.PicklingError):
            words += [pickle.dumps(each).decode("latin-1")]
        shown = " ".join(words)
        assert not any(secret in shown for secret in ("hunter2", "s3cr3t", PASSWORD))
        if isinstance(each, list | tuple):
            check_has_no_secrets(*each)


def texts_in(folder):
    """Yield the names and contents of all files, except videos and pictures."""
    for path in folder.rglob("*"):
        yield str(path)
        if path.suffix in (".json", ".txt", ".log"):
            yield path.read_text("utf-8")


SECRET = {"user": "user:hunter2", "query": "token=s3cr3t"}


def datasets_of(server, **options):
    urls = [server.url("plain/gop2.mp4", **SECRET), server.url("plain/gop2.mp4", query="token=other")]
    return pv.VideoCollectionDataset(urls, step=30, **options), pv.ClipDataset(urls, 2, **options)


def test_urls_that_look_the_same_are_told_apart(server):
    frames, clips = datasets_of(server)
    names = [f"{server.url('plain/gop2.mp4')}#{place}" for place in (0, 1)]
    assert [item["video_path"] for item in frames] == [names[0]] * 2 + [names[1]] * 2
    assert [clips[item]["video_path"] for item in (0, 1)] == names


def test_a_pickled_dataset_has_no_secrets_and_says_so(server):
    for dataset in datasets_of(server, fetching=Fetching(headers={"X-Key": "s3cr3t"})):
        pickled = pickle.dumps(dataset)
        assert not any(secret in pickled for secret in (b"hunter2", b"s3cr3t", b"other"))
        with pytest.warns(RuntimeWarning, match="has no passwords"):
            again = pickle.loads(pickled)
        assert again.paths == (server.url("plain/gop2.mp4"),) * 2
        assert copy.deepcopy(dataset).paths == dataset.paths


@pytest.mark.slow
def test_worker_processes_that_are_started_anew_get_the_secrets(server):
    headers = Fetching(headers={"Authorization": PASSWORD})
    clips = pv.ClipDataset([server.url("locked/gop2.mp4")], 2, fetching=headers)
    loader = DataLoader(clips, num_workers=1, multiprocessing_context="spawn")
    assert next(iter(loader))["frames"].shape == (1, 2, 3, 240, 320)


def test_a_pickled_reader_has_no_secrets_and_reads(server):
    headers = Fetching(headers={"Authorization": PASSWORD}, allow_local=False)
    with pv.VideoReader(server.url("locked/gop2.mp4"), fetching=headers) as reader:
        pickled = pickle.dumps(reader)
        assert PASSWORD.encode() not in pickled
        assert pickle.loads(pickled)[0].shape == (240, 320, 3)


@pytest.mark.ray
def test_a_time_error_of_a_column_of_frames_shows_no_secrets(server):
    needs("datasets")
    value = {"path": server.url("plain/gop2.mp4", **SECRET), "timestamp": 99.0}
    with pytest.raises(pv.FrameTimestampError, match=r"gop2\.mp4") as caught:
        pv.VideoFrame().decode_example(value)
    check_has_no_secrets(str(caught.value))
    with pytest.raises(ValueError, match="not dict of 'path'"):
        pv.VideoFrame().encode_example({"path": value["path"]})


@pytest.mark.ray
def test_a_stored_column_of_frames_remembers_its_limits(server, tmp_path):
    datasets = needs("datasets")
    feature = pv.VideoFrame(fetching=Fetching.untrusted(headers={"X-Key": "s3cr3t"}))
    rows = datasets.Dataset.from_list([{"frame": {"path": CLIP, "timestamp": 0.0}}])
    rows.cast_column("frame", feature).save_to_disk(tmp_path / "saved")
    with pytest.raises(SourceError, match="allow_private=False"):
        _ = datasets.load_from_disk(str(tmp_path / "saved"))[0]
    assert not any(b"s3cr3t" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_options_of_a_processor_count_where_they_are_given():
    given = Fetching.untrusted(retries=0)
    assert pv.VideoProcessor(fetching=given)._recipe.fetching == given
    changed = pv.VideoProcessor(fetching=given, timeout_s=3)._recipe.fetching
    assert changed == Fetching.untrusted(retries=0, timeout_seconds=3)
    with pytest.raises(TypeError, match="must be a Fetching, not dict"):
        pv.VideoProcessor(fetching={"allow_local": False})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda url: pv.VideoCollectionDataset(url),
        lambda url: pv.VideoCollectionDataset([{"url": url}]),
        lambda url: pv.concatenate_video_files(url, "a.mp4"),
        lambda url: pv.scan_videos([url.encode()]),
        lambda url: pv.VideoProcessor().process_sync(url),
        lambda url: pv.video_sources([{"content": [{"type": "video_url", "video_url": {"link": url}}]}]),
        lambda url: pv.video_sources(url),
    ],
)
def test_wrong_arguments_are_not_quoted_with_their_secrets(server, wrong):
    with pytest.raises((TypeError, ValueError)) as caught:
        wrong(server.url("plain/gop2.mp4", **SECRET))
    check_has_no_secrets(str(caught.value))
