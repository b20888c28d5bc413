"""Whether a process still runs, whatever its number, the clock or a tag say."""

import os
import platform
import subprocess
import sys

import psutil
import pytest

from workbench.stage.process import birth, has_ended, is_dead, this_process

BOOT = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def ended() -> str:
    """The name of a process that ran and was waited for."""
    code = "from workbench.stage.process import this_process; print(this_process())"
    path = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_living_process_is_not_dead_and_one_that_ended_is(ended: str) -> None:
    assert not is_dead(this_process())
    assert is_dead(ended)


def test_one_that_has_the_number_of_another_is_not_that_one() -> None:
    space, _, ticks = birth().rpartition("_")
    assert not has_ended(os.getpid(), f"{space}_{ticks}")
    assert has_ended(os.getpid(), f"{space}_{int(ticks) - 1}")


def test_the_clock_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil takes the time of the boot from the clock, so a step of it moves the start of every process."""
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 0.0)
    assert not is_dead(this_process())


def test_of_another_boot_all_have_ended_and_in_another_container_none_is_known(ended: str) -> None:
    boot, namespace, ticks = birth().split("_")
    number = int(ended.split()[-2])
    assert has_ended(os.getpid(), f"{BOOT}_{namespace}_{ticks}")
    assert has_ended(number, f"{boot}_{namespace}_1")
    assert not has_ended(number, f"{boot}_1{namespace}_1")


def test_one_that_ended_and_was_not_waited_for_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    boot, namespace, _ = birth().split("_")
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:  # noqa: PTH123
        name = f"{boot}_{namespace}_{file.read().split()[21]}"
    assert not has_ended(process.pid, name)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(process.pid, name)
    process.communicate()


def test_names_from_before_are_understood(ended: str) -> None:
    started, number = psutil.Process().create_time(), ended.split()[-2]
    assert not is_dead(f"{platform.node()} {os.getpid()} {started}")
    assert not is_dead(f"{platform.node()} {os.getpid()} {started - 2}")
    assert is_dead(f"{platform.node()} {os.getpid()} {started - 1000}")
    assert is_dead(f"{platform.node()} {number} {started}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "HOST",
        "HOST 1 abc",
        "HOST 1",
        "HOST 1 nan",
        "HOST 1 inf",
        "HOST 1 1e999",
        "HOST 1 1_000",
        "HOST -1 1.0",
        "HOST ¹ 1.0",
        "HOST 99999999999999999999 1.0",
        "HOST 999999999 x_y_z",
        f"HOST 999999999 {BOOT}_1_{'9' * 5000}",
        f"other 1 {BOOT}_1_1",
        "HOST 1 " + "1" * 5000,
    ],
)
def test_of_a_name_that_cannot_be_read_nothing_is_known(name: str) -> None:
    assert not is_dead(name.replace("HOST", platform.node()))


def test_a_number_that_no_process_can_have_is_no_process() -> None:
    assert is_dead(f"{platform.node()} 999999999 1.0")
    assert is_dead(f"{platform.node()} 999999999 {birth()}")
