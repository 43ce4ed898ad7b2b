"""The embedded main job needs no network: it runs while every connection but to this machine is refused."""

import subprocess
import sys
from pathlib import Path

from tests.commands.test_main import clean_environment

FORBID = """
import socket
connect = socket.socket.connect
def refuse(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
        raise AssertionError(f"connection to {address}")
    return connect(self, address)
socket.socket.connect = refuse
look_up = socket.getaddrinfo
def refuse_names(host, *rest, **more):
    if host not in (None, "127.0.0.1", "localhost", "::1"):
        raise AssertionError(f"look-up of {host}")
    return look_up(host, *rest, **more)
socket.getaddrinfo = refuse_names
from harness.commands.main import main
main()
"""


def test_a_table_of_embedded_images_is_made_without_a_network(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORBID, "table=table3", "scale=smoke", "logger.curves=1"]
    environment = clean_environment()
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "table3" / "digits32-smoke"
    expected = {"cells.csv", "table.md", "table.tex", "table.html", "gallery.png", "provenance.json"}
    assert expected <= {path.name for path in folder.iterdir()}
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 20
    assert len(list((tmp_path / "runs" / "wandb").glob("offline-run-*"))) == 20
