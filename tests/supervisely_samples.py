"""A video annotation in Supervisely's form, small and with everything that is looked at."""

from __future__ import annotations

CAR, MAN = "c" * 32, "d" * 32


def figure(key, of, kind, geometry):
    return {"key": key, "objectKey": of, "geometryType": kind, "geometry": geometry, "labelerLogin": "ann"}


def box(left, top, right, bottom):
    return {"points": {"exterior": [[left, top], [right, bottom]], "interior": []}}


def video_annotation():
    """Of a video of 320x240: figures on frames 3 and 4, a tag on frames 10 to 12, one on all."""
    polygon = {"points": {"exterior": [[0, 0], [40, 0], [40, 20.5]], "interior": [[[4, 4], [8, 4], [8, 8]]]}}
    return {
        "size": {"height": 240, "width": 320},
        "framesCount": 60,
        "key": "e" * 32,
        "description": "a street",
        "tags": [
            {
                "name": "weather",
                "value": "rain",
                "frameRange": [10, 12],
                "key": "1" * 32,
                "labelerLogin": "ann",
            },
            {"name": "outdoors", "value": None, "key": "2" * 32},
        ],
        "objects": [
            {
                "key": CAR,
                "classTitle": "car",
                "tags": [
                    {"name": "colour", "value": "red", "key": "3" * 32},
                    {"name": "braking", "value": None, "frameRange": [4, 4], "key": "4" * 32},
                ],
            },
            {"key": MAN, "classTitle": "person", "tags": []},
        ],
        "frames": [
            {"index": 3, "figures": [figure("f1", CAR, "rectangle", box(10, 20, 110, 120))]},
            {
                "index": 4,
                "figures": [
                    figure("f2", CAR, "rectangle", box(12, 20, 112, 120)),
                    figure("f3", MAN, "polygon", polygon),
                ],
            },
            {"index": 7, "figures": []},
        ],
    }
