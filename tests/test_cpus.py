from __future__ import annotations

import os
from pathlib import Path

import pytest

import pvio_lab.base.cpus
from pvio_lab.base import num_cpus

ALLOWED = 8


@pytest.fixture(autouse=True)
def _eight_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(ALLOWED)), raising=False)


def files(root: Path, **contents: str) -> Path:
    for name, text in contents.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = {"proc__self__cgroup": "5:cpuacct:/jobs\n4:cpu,cpuset:/jobs/7\n"}
V2 = {"proc__self__cgroup": "0::/user/session\n"}


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({}, ALLOWED),
        (V2, ALLOWED),
        (V2 | {"sys__fs__cgroup__cpu_dot_max": "200000 100000"}, 2),
        (V2 | {"sys__fs__cgroup__user__cpu_dot_max": "150000 100000"}, 2),
        (V2 | {"sys__fs__cgroup__user__session__cpu_dot_max": "max 100000"}, ALLOWED),
        (V2 | {"sys__fs__cgroup__user__session__cpu_dot_max": "10000 100000"}, 1),
        (V2 | {"sys__fs__cgroup__cpu_dot_max": "1600000 100000"}, ALLOWED),
        (V2 | {"sys__fs__cgroup__cpu_dot_max": "nonsense"}, ALLOWED),
        (
            V1
            | {
                "sys__fs__cgroup__cpu__jobs__cpu_dot_cfs_quota_us": "300000",
                "sys__fs__cgroup__cpu__jobs__cpu_dot_cfs_period_us": "100000",
            },
            3,
        ),
        (
            V1
            | {
                "sys__fs__cgroup__cpu__cpu_dot_cfs_quota_us": "-1",
                "sys__fs__cgroup__cpu__cpu_dot_cfs_period_us": "100000",
            },
            ALLOWED,
        ),
        ({"proc__self__cgroup": "without colons"}, ALLOWED),
    ],
)
def test_limits_of_containers(tmp_path, contents, expected):
    assert num_cpus(files(tmp_path, **contents)) == expected


def test_where_there_is_no_affinity(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(pvio_lab.base.cpus.os, "cpu_count", lambda: 6)
    assert num_cpus(tmp_path) == 6
