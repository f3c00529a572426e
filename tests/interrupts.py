"""Ctrl-C, which background jobs of a shell and all that they start ignore."""

import signal

import pytest


@pytest.fixture
def interrupts():
    """Let SIGINT interrupt this process and those it starts, even if the shell had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
