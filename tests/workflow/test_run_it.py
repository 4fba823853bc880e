"""Ways to run a notebook: JupyterLab, and what the pages offer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress

import jupytext
import pytest
import yaml

import stage
from studies import ROOT

NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def lab():
    """Address of a server that `make lab` started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"--no-browser --allow-root --ServerApp.port={port} --IdentityProvider.token=x"
    # What is installed stays as it is.
    command = ["make", "-s", "-o", ".venv/.installed", "lab", f"LAB={options}"]
    with subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ) as server:
        yield f"http://127.0.0.1:{port}"
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def asked(address: str) -> str:
    request = urllib.request.Request(address, headers={"Authorization": "token x"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


@pytest.mark.slow
def test_lab_opens_on_the_notebooks_with_this_python(lab):
    listed = ""
    for _ in range(120):
        with suppress(urllib.error.URLError):
            listed = asked(f"{lab}/api/contents/notebooks")
            break
        time.sleep(1)
    names = [entry["name"] for entry in json.loads(listed)["content"]]
    assert sorted(name for name in names if name.endswith(".ipynb")) == NAMES
    assert "JupyterLab" in asked(f"{lab}/lab/tree/notebooks/{NAMES[0]}")
    kernels = json.loads(asked(f"{lab}/api/kernelspecs"))
    assert kernels["default"] == "python3"


@pytest.mark.images
@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_that_a_page_offers_is_the_one_to_run(name):
    offered = ROOT / "build" / "html" / "_sources" / "notebooks" / name
    own = jupytext.read(ROOT / "notebooks" / name)
    cells = [(cell.cell_type, cell.source) for cell in jupytext.read(offered).cells]
    assert cells == [(cell.cell_type, cell.source) for cell in own.cells]
    page = (ROOT / "build" / "html" / "notebooks" / name).with_suffix(".html").read_text("utf-8")
    assert f"../_sources/notebooks/{name}" in page


@pytest.mark.parametrize(
    ("repository", "servers"),
    [
        ("https://github.com/a/b", {"binderhub_url", "colab_url"}),
        ("https://gitlab.com/a/b", {"binderhub_url"}),
        (None, set()),
    ],
)
def test_servers_are_offered_where_the_repository_is_known(
    tmp_path, monkeypatch, repository, servers
):
    monkeypatch.setattr(stage, "SITE", tmp_path)
    monkeypatch.setattr(stage, "_repository", lambda: repository)
    stage._write_config({"Name": "A study"})
    config = yaml.safe_load((tmp_path / "_config.yml").read_text("utf-8"))
    buttons = config["launch_buttons"]
    assert {key for key in buttons if key.endswith("_url")} == servers
    # Pages have the repository's paths, so that a server finds each beside its other half.
    if servers:
        assert config["repository"] == {"url": repository, "branch": "main", "path_to_book": ""}
    assert buttons["notebook_interface"] == "jupyterlab"
