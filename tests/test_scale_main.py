import json

import pytest
from optional import needs
from truth_frames import SAMPLES

from pvio_lab.scale.__main__ import main

SMALL = str(SAMPLES / "gop2.mp4")


@pytest.mark.parametrize("more", [[], ["out", "--estimate", "100"]])
def test_wrong_arguments_are_named(capsys, more):
    assert main(["clips.csv", *more]) == 2
    assert "give a folder for the results, or --estimate" in capsys.readouterr().err


@pytest.mark.ray
def test_a_wrong_policy_is_named_before_anything_starts(capsys, tmp_path):
    needs("pyarrow")
    assert main([SMALL, str(tmp_path / "out"), "--num-frames", "0"]) == 2
    assert "num_frames=0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.ray
def test_a_job_and_its_exit_code(ray_session, capsys, tmp_path):
    (tmp_path / "clips.csv").write_text(f"path\n{SMALL}\n{SMALL}\n")
    arguments = [str(tmp_path / "clips.csv"), str(tmp_path / "out"), "--make", "info", "--quiet"]
    assert main(arguments) == 0
    assert "2 clips, 0 failed" in capsys.readouterr().out
    (tmp_path / "more.csv").write_text(f"path\n{SMALL}\nmissing.mp4\n")
    assert main([str(tmp_path / "more.csv"), str(tmp_path / "out2"), "--make", "info", "--quiet"]) == 1
    assert "FileNotFoundError" in capsys.readouterr().out
    assert main([str(tmp_path / "none.csv"), str(tmp_path / "out3"), "--quiet"]) == 1


@pytest.mark.ray
def test_a_job_on_this_machine(capsys, tmp_path):
    needs("pyarrow")
    options = "--make info --runner local --num-workers 1 --quiet"
    assert main([SMALL.replace("gop2", "gop[2]"), str(tmp_path / "out"), *options.split()]) == 0
    assert "1 clips, 0 failed" in (said := capsys.readouterr().out)
    assert "on 1 cores, local)" in said


@pytest.mark.ray
def test_an_estimate_as_json(ray_session, capsys, tmp_path):
    (tmp_path / "clips.csv").write_text("path\n" + f"{SMALL}\n" * 40)
    options = "--make info --estimate 1000000 --cores 10 --json --quiet"
    assert main([str(tmp_path / "clips.csv"), *options.split()]) == 0
    (estimate,) = json.loads(capsys.readouterr().out)
    assert (estimate["num_clips"], estimate["num_cores"], estimate["num_measured"]) == (1_000_000, 10, 40)
    assert 0 < estimate["core_hours_low"] <= estimate["core_hours"] <= estimate["core_hours_high"]
    assert estimate["shares"]["open"] > 0
