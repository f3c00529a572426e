"""The place that `video_utils` has in LeRobot."""
