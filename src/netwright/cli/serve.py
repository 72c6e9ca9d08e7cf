"""`netwright serve`: a model behind HTTP, with a page for people."""

import sys
from pathlib import Path

import click

from netwright.cli.options import output_options, remember_run
from netwright.cli.text import print_json, say
from netwright.config.engines import ENGINES, EngineName
from netwright.config.serving import Serving
from netwright.errors import InputError, MachineError

DEFAULTS = Serving()


@click.command("serve", short_help="Answer predictions over HTTP, with a page for people.")
@click.argument("run")
@click.option("--host", default="127.0.0.1", help="Where to listen; 0.0.0.0 is every address. [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="0: any that is free. [8000]")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes that share the port. [1]")
@click.option("--decoders", type=click.IntRange(min=1), default=DEFAULTS.decoders, help="Processes a worker. [2]")
@click.option(
    "--most-waiting", type=click.IntRange(min=1), default=DEFAULTS.most_waiting, help="Images; more get 503. [128]"
)
@click.option("--most-batch", type=click.IntRange(min=1), default=DEFAULTS.most_batch, help="Images at once. [32]")
@click.option("--deadline", type=click.FloatRange(min=0.01), default=DEFAULTS.deadline_seconds, help="Seconds. [10]")
@click.option("--max-body-mib", type=click.FloatRange(min=0.01), default=20.0, help="Of one request. [20]")
@click.option(
    "--max-megapixels", type=click.IntRange(1, 50), default=DEFAULTS.most_pixels // 10**6, help="Of an image. [25]"
)
@click.option("--engine", type=click.Choice(ENGINES), default="torch", help="What computes; auto tries all. [torch]")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Answer under this name too. Repeatable.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Ask for the token in this file.")
@output_options
def command(
    run: str,
    host: str,
    port: int,
    workers: int,
    decoders: int,
    most_waiting: int,
    most_batch: int,
    deadline: float,
    max_body_mib: float,
    max_megapixels: int,
    engine: EngineName,
    allow_host: tuple[str, ...],
    token_file: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Answer predictions of RUN (a run, a bundle, or the zip file of one) over HTTP until stopped.

    POST /predict takes an image as its body, or several as a form; / is a page to try it. Needs netwright[serve].
    """
    remember_run(run)
    try:
        from netwright.web.server import LOOPBACK, Served, access_for, serve
    except ImportError as error:
        missing = f"serving needs {error.name}, which is not installed; pip install 'netwright[serve]'"
        raise MachineError(missing) from None
    access = access_for(host, allow_host, None if token_file is None else _token(token_file))
    if access.token is None and host not in LOOPBACK:
        say(f"anyone who reaches {host} can ask this server; --token-file asks them for a token", err=True)
    limits = Serving(
        most_waiting=most_waiting,
        most_batch=most_batch,
        deadline_seconds=deadline,
        most_body_bytes=int(max_body_mib * 2**20),
        most_pixels=max_megapixels * 10**6,
        decoders=decoders,
        engine=engine,
    )

    def ready(address: str) -> None:
        if as_json:
            print_json({"address": address})
        elif not quiet:
            say(f"serving {run} at {address} (Ctrl-C stops)")
        sys.stdout.flush()

    serve(Served(run, host, port, workers, access, limits), ready)


def _token(path: Path) -> str:
    """Read a token. Raises InputError for a file that has none, or one that is too short to be one."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file {path} can't be read ({error}); write the token into it") from None
    if len(token) < 16 or not token.isascii() or " " in token:
        raise InputError(
            f"--token-file {path} has {len(token)} characters; expected at least 16 of ASCII without spaces, such as "
            "`openssl rand -hex 32` prints"
        )
    return token
