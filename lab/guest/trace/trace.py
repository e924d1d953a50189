"""A process whose stack is known, for debuggers to show: calls in calls, a generator, a thread."""
import os
import threading

ends = os.pipe()


def inner(depth, text):
    local = f"{text} at {depth}"
    if depth:
        return inner(depth - 1, text) + local
    return os.read(ends[0], 1) + local.encode()


def generator():
    yield inner(3, "generated")


threading.Thread(target=inner, args=(2, "thread")).start()
list(generator())
