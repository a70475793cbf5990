"""An application on a real socket, in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from headrace.api.connections import server_config
from headrace.settings import Settings


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The URL of the application, while it is served."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        services = getattr(app.state, "services", None)  # a server of another kind has none
        server = uvicorn.Server(server_config(app, services.settings if services else Settings()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
