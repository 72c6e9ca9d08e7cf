"""What went wrong, as one message on standard error and an exit code."""

import errno
import os
import platform
import sys
import traceback
from pathlib import Path

import click

from netwright.cli.text import say
from netwright.errors import NetwrightError, did_you_mean

VERSION: str = sys.modules["netwright"].__version__  # the package is loaded whenever a part of it is
BUG, BAD_INPUT, ENVIRONMENT, INTERRUPTED = 1, 2, 4, 5
_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO)


def explain_failure(error: BaseException, run: Path | None) -> int:
    """Print what happened and what to do; return the exit code. `run` is the run's folder where it is known."""
    if isinstance(error, BrokenPipeError):
        _close_stdout()
        return 0  # whoever read us has seen enough (`netwright runs | head`)
    if isinstance(error, (KeyboardInterrupt, click.Abort, EOFError)):
        where = f"; go on with: netwright resume {run}" if run else ""
        return _say(f"interrupted{where}", INTERRUPTED)
    if isinstance(error, NetwrightError):
        return _say(f"error: {error}", error.exit_code)
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "netwright"
        return _say(f"error: {_usage(error)}\nSee: {path} --help", BAD_INPUT)
    if isinstance(error, click.ClickException):
        return _say(f"error: {_sentence(error.format_message())}", BAD_INPUT)
    too_big = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch's words on a CPU
    if too_big or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        what = "not enough memory; try a smaller --batch-size or --image-size, or another --device"
        return _say(f"error: {what}", ENVIRONMENT)
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        place = f"{error.filename}: " if error.filename else ""
        return _say(f"error: {place}{error.strerror}; free or allow it, then try again", ENVIRONMENT)
    return _report_bug(error, run)


def _sentence(text: str) -> str:
    """Click's sentences in our style: no capital first letter, no full stop last."""
    return (text[:1].lower() + text[1:]).rstrip(".")


def _usage(error: click.UsageError) -> str:
    """What is wrong with the command line, with the option that was probably meant."""
    if isinstance(error, click.NoSuchOption):
        return f"there is no option {error.option_name}{did_you_mean(error.option_name, error.possibilities or ())}"
    return _sentence(error.format_message())


def _say(message: str, exit_code: int) -> int:
    say(message, err=True)
    return exit_code


def _report_bug(error: BaseException, run: Path | None) -> int:
    """Keep the traceback in a file and say where and how to report it."""
    text = "".join(traceback.format_exception(error))
    about = f"netwright {VERSION}, Python {platform.python_version()}, {platform.platform()}\n"
    about += f"command: {' '.join(sys.argv)}\n"
    what = f"error: this is a bug in netwright, not a mistake of yours: {type(error).__name__}: {error}"
    for folder, name in ((run, "log.txt"), (_state_folder(), "bugs.log")):
        try:
            if folder is not None and folder.is_dir():
                path = folder / name
                with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(f"{about}{text}\n")
                how = f"Please report it as an issue of the project, with this file: {path}"
                return _say(f"{what}\n{how}", BUG)
        except OSError:
            continue
    return _say(f"{text}\n{what}\nPlease report it as an issue of the project, with the lines above.", BUG)


def _state_folder() -> Path | None:
    import platformdirs  # as files.folders does; the command line imports config and workflows only

    try:
        return Path(platformdirs.user_state_dir("netwright", appauthor=False, ensure_exists=True))
    except OSError:
        return None


def _close_stdout() -> None:
    """Send what Python still flushes at its exit into nothing, so that it does not complain about the pipe."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
