"""Preparing videos with a real local Ray."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from optional import needs
from truth_frames import SAMPLES, read_number
from unruly_server import serving

import pvio_lab as pv

pytestmark = pytest.mark.ray

GOOD, OTHER = str(SAMPLES / "gop2.mp4"), str(SAMPLES / "vp9.webm")


def chat(*sources):
    items = [{"type": "video", "video": source} for source in sources]
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *items]}]


ROWS = [
    {"id": 0, "messages": chat(GOOD)},
    {"id": 1, "messages": chat()},
    {"id": 2, "messages": chat("missing.mp4", OTHER)},
    {"id": 3, "messages": chat(GOOD, GOOD)},
]
FIRST_TWO = [[[0, 1]], [], [[], [0, 1]], [[0, 1], [0, 1]]]


def numbers(videos):
    return [[read_number(np.asarray(frame)) for frame in video] for video in videos]


def errors(row):
    return [meta["error_type"] for meta in row["video_meta"]]


def prepared(ray, rows, **options):
    return pv.prepare_videos(ray.data.from_items(rows), **options)


def by_id(ds):
    return sorted(ds.take_all(), key=lambda row: row["id"])


# A dataset in, a dataset out


def test_a_dataset_survives_parquet(ray_session, tmp_path):
    prepared(ray_session, ROWS, sampling={"num_frames": 2}, concurrency=2).write_parquet(str(tmp_path))
    rows = by_id(ray_session.data.read_parquet(str(tmp_path)))
    assert [numbers(pv.video_arrays(row["video"])) for row in rows] == FIRST_TWO
    assert [errors(row) for row in rows] == [[None], [], ["FileNotFoundError", None], [None, None]]
    assert rows[2]["video_meta"][1]["video_size"] == [320, 240]
    assert pv.video_sources(rows[3]["messages"]) == [GOOD, GOOD]


def test_any_reader_of_parquet_finds_the_pixels(ray_session, tmp_path):
    options = {"sampling": {"num_frames": 2}, "pack_for_model": "TCHW"}
    prepared(ray_session, ROWS[:1], **options).write_parquet(str(tmp_path))
    table = needs("pyarrow.parquet").read_table(tmp_path, columns=["video"])
    (frames,) = pv.video_arrays(table["video"][0].as_py())
    with pv.VideoReader(GOOD) as reader:
        assert np.array_equal(frames, reader[:2].transpose(0, 3, 1, 2))


def test_blocks_of_nothing_but_failures_have_the_same_columns(ray_session):
    rows = [{"messages": chat("missing.mp4")}, {"messages": chat(GOOD)}, {"messages": [{"content": 5}]}]
    for row in rows[:2]:
        schema = prepared(ray_session, [row], sampling={"num_frames": 1}).schema()
        assert "large_binary" in str(dict(zip(schema.names, schema.types, strict=True))["video"])
    assert errors(prepared(ray_session, rows[2:]).take_all()[0]) == ["ValueError"]


def test_messages_of_strangers_open_nothing_here(ray_session):
    with serving(SAMPLES) as server:
        rows = [{"messages": chat(GOOD, server.url("plain/gop2.mp4"))}]
        ds = prepared(ray_session, rows, fetching=pv.Fetching.untrusted())
        assert errors(ds.take_all()[0]) == ["SourceError"] * 2
        assert not server.counts


def test_rows_that_have_frames_stay(ray_session):
    first = prepared(ray_session, ROWS, sampling={"num_frames": 2}).materialize()
    rows = by_id(pv.prepare_videos(first, sampling={"num_frames": 1}, bypass_if_frames_present=True))
    lengths = [[len(each) for each in pv.video_arrays(row["video"])] for row in rows]
    assert lengths == [[2], [], [0, 2], [2, 2]]
    assert [len(row["video_meta"]) for row in rows] == [1, 0, 2, 2]


def test_a_slow_consumer_holds_the_decoders_back(ray_session, tmp_path):
    """All rows together are twice as large as what Ray may keep in memory."""
    num_rows, ahead = 30, []
    rows = [{"messages": chat(str(SAMPLES / "shapes.mp4"))} for _ in range(num_rows)]
    ds = prepared(ray_session, rows, sampling={"num_frames": 16}, max_concurrency=2)

    def noted(rows):
        with open(tmp_path / "prepared", "ab") as file:
            file.write(bytes(len(rows)))
        return rows

    ds = ds.map_batches(noted, batch_format="pyarrow", batch_size=None)
    for taken, row in enumerate(ds.iter_rows(), 1):
        assert pv.video_arrays(row["video"])[0].shape == (16, 360, 640, 3)
        ahead.append((tmp_path / "prepared").stat().st_size - taken)
        time.sleep(0.1)
    assert len(ahead) == num_rows
    assert max(ahead) < num_rows / 2, ahead


@pytest.mark.parametrize("options", [{"output_format": "pil"}, {"sampling": {}}, {"concurrency": 0}])
def test_wrong_options_are_named_before_anything_runs(ray_session, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        pv.prepare_videos(ray_session.data.range(1), **options)


# A stage


def run(batch, **options):
    options = {"sampling": {"num_frames": 2}, "output_format": "numpy", **options}

    async def first():
        return await anext(pv.PrepareVideoUDF("data", ["messages"], **options)(batch))

    return asyncio.run(first())


def test_a_batch_in_a_batch_out(ray_session):
    rows = [*ROWS, {"id": 4, "__inference_error__": "an earlier stage"}]
    output = run({"data": [dict(row) for row in rows], "other": [0, 1, 2, 3, 4]})
    assert output["other"] == [0, 1, 2, 3, 4]
    assert output["data"][4] == rows[4]
    assert [numbers(row["video"]) for row in output["data"][:4]] == FIRST_TWO
    for row, given in zip(output["data"], rows, strict=True):
        assert row == {**row, **given}


def test_what_is_no_batch_is_named(ray_session):
    with pytest.raises(ValueError, match="no column 'data'"):
        run({"rows": []})
    with pytest.raises(ValueError, match="a row lacks 'messages'"):
        run({"data": [{"id": 0}]})
    assert run({"data": []}) == {"data": []}


def test_a_row_that_has_frames_may_pass(ray_session):
    row = {"messages": chat("missing.mp4"), "video": ["frames"]}
    assert run({"data": [row]}, bypass_if_frames_present=True) == {"data": [row]}
    assert run({"data": [row]})["data"][0]["video"] == [[]]


def test_a_stage_in_map_batches(ray_session):
    stage = pv.PrepareVideoStage(fn_constructor_kwargs={"sampling": {"num_frames": 2}})
    ds = ray_session.data.from_items([{"data": row} for row in ROWS])
    ds = ds.map_batches(stage.fn, **stage.get_dataset_map_batches_kwargs(batch_size=3, data_column="data"))
    assert [numbers(row["video"]) for row in by_id(ds.map(lambda row: row["data"]))] == FIRST_TWO


def test_a_stage_of_rays_own_processor(ray_session):
    processors = needs("ray.llm._internal.batch.processor.base")
    stages = needs("ray.llm._internal.batch.stages.base")
    stage = pv.PrepareVideoStage(sampling={"num_frames": 2}, output_format="numpy")
    assert isinstance(stage, stages.StatefulStage)
    assert issubclass(stage.fn, stages.StatefulStageUDF)
    config = processors.ProcessorConfig(batch_size=2, concurrency=1)
    processor = processors.Processor(
        config,
        [stage],
        preprocess=lambda row: {"messages": row["messages"]},
        postprocess=lambda row: {"id": row["id"], "video": row["video"]},
    )
    rows = by_id(processor(ray_session.data.from_items(ROWS)))
    assert processor.list_stage_names() == ["PrepareVideoStage"]
    assert [numbers(row["video"]) for row in rows] == FIRST_TWO


def test_a_stage_checks_its_options_at_once():
    stage = pv.PrepareVideoStage(
        sampling={"num_frames": 2},
        fn_constructor_kwargs={"retries": 0},
        map_batches_kwargs={"concurrency": 3},
    )
    assert stage.fn_constructor_kwargs == {"sampling": {"num_frames": 2}, "retries": 0}
    assert stage.map_batches_kwargs == {"concurrency": 3}
    with pytest.raises(ValueError, match="sampling"):
        pv.PrepareVideoStage(fn_constructor_kwargs={"sampling": {"every": 5}})
    with pytest.raises(ValueError, match="output_format='jpeg' must be one of"):
        pv.PrepareVideoStage(output_format="jpeg")
    with pytest.raises(TypeError, match="option 'retries' twice"):
        pv.PrepareVideoStage(retries=1, fn_constructor_kwargs={"retries": 0})


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("PrepareVideoStage", pv.PrepareVideoStage),
        ("PrepareVideoStage", lambda **options: pv.PrepareVideoStage(fn_constructor_kwargs=options)),
        ("PrepareVideoUDF", partial(pv.PrepareVideoUDF, "data")),
        ("prepare_videos", partial(pv.prepare_videos, None)),
    ],
)
def test_an_option_that_there_is_not_is_named(name, use):
    with pytest.raises(
        TypeError, match=f"{name} has no option 'nonsense_option'; there are sampling, .*retries"
    ):
        use(sampling={"num_frames": 2}, output_format="numpy", nonsense_option=1)


def test_without_rays_own_stages():
    """They need pydantic; without it, stages look the same from outside."""
    code = (
        "import sys; sys.modules['pydantic'] = None; import pvio_lab as pv; "
        "stage = pv.PrepareVideoStage(fn_constructor_kwargs={'sampling': {'uniform': 2}}); "
        "options = stage.get_dataset_map_batches_kwargs(batch_size=3, data_column='data'); "
        "print(type(stage).__mro__[1].__module__, options['batch_size'], options['concurrency'], "
        "options['fn_constructor_kwargs'], stage.get_optional_input_keys()); "
        "stage.fn(**options['fn_constructor_kwargs'])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == (
        "pvio_lab.scale.ray_stage 3 1 {'sampling': {'uniform': 2}, 'data_column': 'data', "
        "'expected_input_keys': ['messages']} {}"
    )
