"""`patchtide local up`: the local world as servers on loopback, in real time.

ministack deploys the raw template, runs the functions and fires the event sources; SSM, STS and the organisation are the
world's own, on the port above. Any AWS CLI or SDK can talk to both. What takes minutes on an instance takes seconds here.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rich.console import Console

from simulator import sample
from simulator.clock import PacedClock
from simulator.ministack import Ministack, free_port
from simulator.protocol import Door, Request
from simulator.template import ROOT, load
from simulator.world import World

STACK = "patchtide"
REGION = sample.REGIONS[0]
OURS = ("SSM", "STS", "EC2", "ORGANIZATIONS", "RESOURCE_GROUPS", "RESOURCE_GROUPS_TAGGING_API")


class Local:
    """The running servers."""

    def __init__(self, world: World, ministack: Ministack, url: str) -> None:
        self.world, self.ministack, self.url = world, ministack, url

    @property
    def environment(self) -> Mapping[str, str]:
        """What any AWS CLI or SDK needs to talk to the local world as the hub's root."""
        return {
            "AWS_ENDPOINT_URL": self.ministack.url,
            **{f"AWS_ENDPOINT_URL_{name}": self.url for name in OURS},
            "AWS_ACCESS_KEY_ID": sample.HUB,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
        }


@contextmanager
def local(port: int | None = None, seed: int = 7, speed: float = 60, minute: float = 60) -> Iterator[Local]:
    """The local world with the stack deployed into it. `minute` is how many real seconds a tick's minute takes."""
    world = sample.world_on(PacedClock(datetime.now(UTC), speed), seed)
    with answering(world, (port + 1) if port else 0, lambda: datetime.now(UTC)) as url:
        ministack = Ministack(port or free_port(), sample.HUB, REGION, minute)
        try:
            _deploy(world, ministack, url)
            yield Local(world, ministack, url)
        finally:
            ministack.stop()


def _deploy(world: World, ministack: Ministack, url: str) -> None:
    document = load(ROOT / "template.yaml")
    variables = document["Globals"]["Function"].setdefault("Environment", {}).setdefault("Variables", {})
    variables.update({f"AWS_ENDPOINT_URL_{name}": url for name in OURS})
    ministack.deploy(STACK, document, {"DefaultRegions": ",".join(sample.REGIONS)}, ROOT)
    sample.deploy(world, ROOT / "template.yaml", sample.HUB, REGION)


@contextmanager
def answering(world: World, port: int = 0, time_of_day: Callable[[], datetime] | None = None) -> Iterator[str]:
    """The world behind HTTP on loopback, one request at a time; its URL. With a time of day its clock is kept at that."""
    lock, over = threading.Lock(), threading.Event()
    door = Door(world.services.values(), world.identities, lambda: world.clock.now)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                if time_of_day:
                    world.clock.advance_to(time_of_day())
                headers = dict(self.headers.items())
                reply = door.answer(Request(self.path, headers, body, self.command))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's signature
            """Say nothing: the operator asked for a world, not for its access log."""

    def pass_time() -> None:
        while time_of_day and not over.wait(0.2):
            with lock:
                world.clock.advance_to(time_of_day())

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    serving = partial(server.serve_forever, poll_interval=0.02)
    workers = [threading.Thread(target=work, daemon=True) for work in (serving, pass_time)]
    for worker in workers:
        worker.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        for worker in workers:
            worker.join()


def serve(
    port: int,
    seed: int,
    speed: float,
    minute: float,
    console: Console,
    ready: Callable[[Mapping[str, str]], None],
) -> None:
    """The local world until Ctrl-C, SIGTERM, or until its terminal is closed, with what to type to use it; `ready` is told its environment."""
    console.print("Starting the local world: a few seconds...")
    for ended in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended, signal.default_int_handler)  # whoever ends us wants the servers ended as well
    try:
        with local(port, seed, speed, minute) as running:
            _tell(running, console)
            ready(running.environment)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Stopped.")


def _tell(running: Local, console: Console) -> None:
    accounts = ", ".join(account.name for account in running.world.organization.accounts.values())
    console.print(f"Ready: {len(running.world.organization.nodes)} instances; accounts {accounts}.\n", markup=False)
    console.print("In another shell:\n", markup=False)
    for name, value in running.environment.items():
        console.print(f"  export {name}={value}", markup=False)
    console.print("\nThen for example: patchtide campaign list\nCtrl-C stops it.", markup=False)
