"""Paths that hold the time of their making, as tools and scripts write it."""

import os
import time
from datetime import UTC, datetime

import pytest

from supervisor.integrations.time_in_path import without_time

BEGAN = datetime(2026, 11, 29, 14, 47, 43).timestamp()  # noqa: DTZ001 -- as scripts do


@pytest.mark.parametrize(
    "name",
    [
        "outputs/2026-11-29/14-47-43",  # hydra
        "runs/Nov29_14-47-43_host",  # TensorBoard, transformers
        "out-20261129-144743",
        "out_20261129144743",
        "out_20261129T144743",
        "20261129_1447",
        "2026-11-29_14:47:43.123456",
        "2026-11-29T14:47:43",
        "2026.11.29-14.47",
        "29-11-2026_14-47",
        "11-29-2026_14-47-43",
        "29Nov2026_14h47m43s",
        "Nov29-14_47",
        "261129_144743",
        "1129_1447",
        "11-29-14-47-43",
    ],
)
def test_times(name: str) -> None:
    """They are left out if the training began soon after them."""
    found = without_time(f"/data/{name}/x", BEGAN)
    assert not any(letter.isdigit() for letter in found), found
    assert without_time(f"/data/{name}/x", BEGAN + 7200) == found
    assert found.startswith("/data/")
    assert found.endswith("/x")
    for days in (2.1, -1):
        assert without_time(f"/data/{name}/x", BEGAN + 86400 * days) == f"/data/{name}/x"


@pytest.mark.parametrize("text", ["{0:.0f}", "{0:.3f}", "e{1:.0f}"])
def test_seconds_since_1970(text: str) -> None:
    """As `time.time()` gives them, in ms too."""
    name = text.format(BEGAN, BEGAN * 1000)
    assert not any(letter.isdigit() for letter in without_time(f"/out/{name}", BEGAN + 60))
    assert without_time(f"/out/{name}", BEGAN - 3600) == f"/out/{name}"


@pytest.mark.parametrize(
    "path",
    [
        "/out/run-1", "/out/lr-0.001", "/out/version_12", "/out/seed-1129", "/out/llama-7b-4096",
        "/data/2024-01-05/out", "/out/20240105_101010", "/out/1234567890", "/out/12345678901234",
        "/out/fold-10", "/out/99-99-99", "/out/2026-13-45", "/out/1129", "/users/u1447/out",
        "/out/checkpoint-144743", "/out/0.1-0.2-0.3", "/out/bs-32-64-16", "/out/31Nov",
        "/out/2026-11-29", "/out/20261129", "/out/29Nov", "/out/14-47-43", "/out/mlp_16-32-16",
        "/out/v10.02.30", "/out/seed_11_21_31", "/out/2026-11-31_14-47",
    ],
)  # fmt: skip
def test_what_is_no_time_of_this_start(path: str) -> None:
    """Numbers, dates of data, and days that do not exist stay."""
    assert without_time(path, BEGAN) == path


def test_other_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts name the local time or that of UTC."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        now = time.time()
        local = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
        utc = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
        assert local != utc
        assert without_time(f"/o/{local}", now) == without_time(f"/o/{utc}", now)
    finally:
        monkeypatch.undo()
        os.environ.setdefault("TZ", "UTC")
        time.tzset()


def test_the_turn_of_a_year() -> None:
    """A name without a year, made before midnight."""
    began = datetime(2027, 1, 1, 0, 10).timestamp()  # noqa: DTZ001
    assert "31" not in without_time("/o/Dec31_23-50-00", began)
