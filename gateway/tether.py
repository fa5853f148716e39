"""Runs a program that must not outlive the process that wanted it.

    python -I -S tether.py [--watch] PARENT_PID PROGRAM [ARGUMENT ...]

On Linux the kernel is asked to send SIGTERM when the parent dies, and the program takes this process's
place: nothing else stays. The request is tied to the parent's thread that started us, so start from one
that lives as long as the process. Elsewhere (macOS has no such request) this process stays between the two:
it looks for its parent twice a second and ends the program when the parent is gone. `--watch` asks for
that everywhere.

Stands alone: it is run by its path, with no package of ours on the path.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str], *, watch: bool) -> int:
    if watch:
        return _watch(parent, command)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        return _watch(parent, command)
    if os.getppid() != parent:  # it died before the request was made
        return 1
    os.execv(command[0], command)  # noqa: S606 -- no shell is wanted
    raise AssertionError("execv does not return")


def _watch(parent: int, command: list[str]) -> int:
    # Inherited locks must be the program's as well: it is they that say whether it runs.
    child = subprocess.Popen(command, close_fds=False)  # noqa: S603 -- our own caller's command
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    while child.poll() is None:
        if os.getppid() != parent:
            child.terminate()
            return child.wait()
        time.sleep(0.5)
    return child.returncode


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asked = arguments[0] == "--watch"
    if asked:
        del arguments[0]
    sys.exit(main(int(arguments[0]), arguments[1:], watch=asked or sys.platform != "linux"))
