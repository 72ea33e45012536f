"""The loop of a worker: it loads a model on request, computes and takes the time.

A worker is a process of its own, in the environment of its engine. Requests come as
lines of JSON on standard input; answers go to the file descriptor that BUSNET_ANSWERS
names, because some engines print to standard output. A worker's module has
``load(request)``, which returns a function from images (N, H, W, C), float32 in 0..1,
to outputs by name.
"""

import json
import os
import sys
import time

import numpy as np
from common import peak_rss_mb


def serve(load, version):
    """Answer requests until standard input ends; ``load`` is the worker's."""
    answers = os.fdopen(int(os.environ["BUSNET_ANSWERS"]), "w")
    run = images = None
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        try:
            if request["do"] == "load":
                run, images = load(request), np.load(request["images"])
                answer["version"] = version()
            elif request["do"] == "run":
                outputs = run(images)
                np.savez(request["out"], **outputs)
                answer["peak_mb"] = peak_rss_mb()
            elif request["do"] == "time":
                answer["seconds"] = timed(run, images, request["seconds"])
        except Exception as error:  # sent to the driver, which excludes the engine
            answer["error"] = f"{type(error).__name__}: {error}"[:300]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def timed(run, images, seconds):
    """Run for some seconds, at least once, and return the time of each run in s."""
    run(images)
    durations = []
    end = time.perf_counter() + seconds
    while not durations or time.perf_counter() < end:
        start = time.perf_counter()
        run(images)
        durations.append(time.perf_counter() - start)
    return durations


def planes(images):
    """Return (N, H, W, C) images as contiguous (N, C, H, W)."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
