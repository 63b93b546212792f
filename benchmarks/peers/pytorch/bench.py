"""Timing and output that the scripts of this folder share."""

import json
import os
import sys
import time

import torch

_began = time.perf_counter()
_limit = float(os.environ.get("BENCH_SECONDS", "inf"))


def say(**line):
    """One JSON line, at once: to standard output, and appended to the file that BENCH_OUT names."""
    line = {"label": "pytorch", "torch": torch.__version__, **line}
    text = json.dumps(line)
    print(text, flush=True)
    path = os.environ.get("BENCH_OUT")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text + "\n")


def in_time():
    return time.perf_counter() - _began < _limit


def wait():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def milliseconds(run, turns=4):
    """Of one run: the best of some turns of 60 ms or more, after 250 ms that bring the clocks up."""

    def turn(count):
        start = time.perf_counter()
        for _ in range(count):
            run()
        wait()
        return (time.perf_counter() - start) / count * 1e3

    turn(1)
    count = max(1, int(60 / turn(1)) + 1)
    warm = time.perf_counter()
    while time.perf_counter() - warm < 0.25:
        turn(count)
    return min(turn(count) for _ in range(turns))


def measure(case, shape, flops, run, **more):
    """Times one case and says it; what fails is said, and the next goes on."""
    if not in_time():
        return
    try:
        ms = milliseconds(run)
        say(what="kernel", case=case, shape=shape, ms=round(ms, 4), tflops=round(flops / ms / 1e9, 2), **more)
    except Exception as error:  # noqa: BLE001
        say(what="kernel", case=case, shape=shape, failed=str(error)[:300], **more)


def main(run):
    say(what="device", device=torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu")
    run("--small" in sys.argv)
