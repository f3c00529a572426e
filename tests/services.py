"""Services for child processes, which do what a test asks for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path


def echo(*greeting):
    """Answers each question with itself; prints noise, too."""
    print("noise", flush=True)

    def answer(question):
        print("more noise", flush=True)
        return question

    return greeting, answer


def troubled(kind=None):
    """Fails at the start, or does what each question says."""
    if kind == "raise":
        raise ImportError("no FFmpeg\nand much more")
    if kind == "exit":
        sys.exit(3)
    if kind == "hang":
        time.sleep(600)
    return None, lambda question: TROUBLES[question]()


def wrong():
    raise ValueError("no such frame")


def fork():
    """Uses a worker process as torch's DataLoader does."""
    from multiprocessing import get_context

    process = get_context("fork").Process(target=print, args=("noise",))
    process.start()
    process.join()
    return process.exitcode


TROUBLES = {
    "wrong": wrong,
    "right": lambda: "right",
    "crash": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), 11),
    "hang": lambda: time.sleep(600),
    "fork": fork,
}


def waiting(folder):
    """Waits for ever, and so does a process of its own; its last act is a file."""

    def wait(_):
        other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(folder, "pids.part").write_text(f"{os.getpid()} {other.pid}")
        Path(folder, "pids.part").rename(Path(folder, "pids"))
        try:
            time.sleep(600)
        finally:
            Path(folder, "farewell").touch()

    return None, wait
