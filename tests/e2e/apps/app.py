#!/usr/bin/python3
"""The application of the scenarios in Python: the start line of app.c, then waits for SIGTERM.  app.py RUNLOG [--file F]..."""
import json
import os
import signal
import sys
import time


def read(path):
    with open(path, encoding="latin-1") as file:
        return file.read()


args = sys.argv[2:]
files = [args[i + 1] for i, arg in enumerate(args) if arg == "--file"]
stop = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, stop)
line = {"event": "start", "pid": os.getpid(), "time": time.time(), "argv": sys.argv, "env": dict(os.environ),
        "files": {name: read(name) for name in files}}
with open(sys.argv[1], "a", encoding="ascii") as log:
    log.write(json.dumps(line) + "\n")
signal.sigwait(stop)
