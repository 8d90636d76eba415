"""`lgt serve`: a page in the browser and an HTTP API."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from lgt.cli.options import DeviceOption, ModelOption, choose_model
from lgt.cli.say import echo
from lgt.errors import InputError
from lgt.extras import missing

LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every network of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 7860,
    model: ModelOption = None,
    codec: Annotated[
        str | None, typer.Option(help="Image codec, as for transfer. [default: the model's]")
    ] = None,
    device: DeviceOption = "auto",
    max_pixels: Annotated[
        int,
        typer.Option("--max_pixels", "--max-pixels", min=256, help="Most pixels of a photo."),
    ] = 4_194_304,
    max_upload_mb: Annotated[
        float,
        typer.Option("--max_upload_mb", "--max-upload-mb", min=0.01, help="Most MB of a file."),
    ] = 20.0,
    queue: Annotated[int, typer.Option(min=1, help="Most jobs that wait.")] = 8,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow_host",
            "--allow-host",
            metavar="NAME",
            help="A further host name that clients may use; may be given several times.",
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(
            "--root_path",
            "--root-path",
            metavar="PATH",
            help="Where a proxy shows the page, such as /paint. [default: at the top of its host]",
        ),
    ] = "",
    no_metadata: Annotated[
        bool,
        typer.Option(
            "--no_metadata",
            "--no-metadata",
            help="Pictures do not say how they were made (see `lgt inspect`).",
        ),
    ] = False,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Paint photos in the browser: a page and an HTTP API on this machine."""
    try:
        from lgt.web.api import create_app
        from lgt.web.guard import sub_path
        from lgt.web.server import address, listen, run
    except ModuleNotFoundError as error:
        if (text := missing(error.name or "", "web")) is None:
            raise
        raise InputError(f"the web page needs a package that is not here; {text}") from error
    from lgt.web.limits import Limits
    from lgt.web.stylist import ModelStylist

    root_path = sub_path(root_path)
    with listen(host, port) as listener:
        stylist = ModelStylist(choose_model(model), codec, device, has_metadata=not no_metadata)
        app = create_app(
            stylist,
            limits=Limits(max_pixels, round(max_upload_mb * 1e6), queue),
            queue=queue,
            host=host,
            allowed_hosts=tuple(allow_host or ()),
            root_path=root_path,
        )
        echo(f"{address(listener)} (Ctrl-C stops it)")
        if host not in LOCAL:
            echo(
                f"warning: {host} can be reached from other machines, and there is no password",
                err=True,
            )
        if run(app, listener, opens_browser=open_):
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Pressed again on the way out.
            echo("stopped", err=True)
