"""Tools without video in them, for every other room: new files, forks."""
