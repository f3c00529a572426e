"""Ctrl-C, which the background jobs of a shell ignore, and so does everything they start."""

import signal

import pytest


@pytest.fixture
def interrupts():
    """Let SIGINT interrupt this process and those it starts, even in a background job of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
