"""Interrupts of long work: a key, `kill`, or a terminal that closes."""

import signal


def interruptible() -> None:
    """Let this process end by KeyboardInterrupt, so that it can stop what it has started.

    A shell starts background commands with SIGINT ignored; long work can be resumed, so it is
    taken nevertheless. SIGHUP stays ignored where `nohup` has asked for it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
