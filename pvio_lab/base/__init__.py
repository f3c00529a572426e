"""Tools without video in them, for every other room: whole files, small files, locks, forks."""
