"""One lock file; environment.yml says the same."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

import yaml

import lock
from studies import ROOT


def locked() -> list[str]:
    return lock.pins((ROOT / "requirements.lock").read_text("utf-8"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_environment_has_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    listed = environment["dependencies"][-1]["pip"]
    assert listed[-1] == "-e ."
    assert listed[:-1] == locked()


def test_every_direct_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    names = {normal(pin.split("==")[0]) for pin in locked()}
    groups = project["dependency-groups"]
    wanted = project["project"]["dependencies"] + groups["install"] + groups["dev"]
    for requirement in (one for one in wanted if isinstance(one, str)):
        assert normal(re.split(r"[=<>\[;]", requirement)[0].strip()) in names


def test_what_builds_the_book_stands_before_the_tools_of_development():
    book, tools = (ROOT / "requirements.lock").read_text("utf-8").split(lock.DEVELOPMENT)
    first = {pin.split("==")[0] for pin in lock.pins(book)}
    assert {"jupyter-book", "snakemake", "numba", "simpleitk", "uv", "setuptools"} <= first
    second = {pin.split("==")[0] for pin in lock.pins(tools)}
    assert {"pytest", "playwright", "bids-validator-deno", "ruff", "mypy"} <= second
    assert not first & second


def test_every_pin_has_a_hash():
    text = (ROOT / "requirements.lock").read_text("utf-8").replace(lock.DEVELOPMENT, "")
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert len(blocks) == len(locked())
    assert all("--hash=sha256:" in block for block in blocks)


def test_what_is_installed_is_what_is_locked():
    wanted = {}
    for pin in locked():
        name, version = pin.split(" ; ")[0].split("==")
        wanted.setdefault(normal(name), set()).add(version)
    for name in ("numpy", "pandas", "scipy", "statsmodels", "pingouin", "jupyter-book", "sphinx"):
        assert metadata.version(name) in wanted[name]


def test_jupyter_book_stays_below_2():
    assert "jupyter-book==1.0.4.post1" in locked()
