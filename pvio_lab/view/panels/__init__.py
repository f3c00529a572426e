"""Measurements with controls, live progress and plots."""
