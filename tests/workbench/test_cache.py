"""What is kept to save time is executed: only what is ours and whole is used, all else is made anew."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Project

from attention.compiler import Definition, keeping
from workbench.cache import cache_folder, keep, kept, own_folder

NOT_USED = (
    "{}: not used, for others than you can write there, and what it keeps is executed; each stage takes seconds longer "
    "until it is yours alone (chown, chmod go-w), or XDG_CACHE_HOME names another folder\n"
)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    _forget()
    yield
    _forget()


def _forget() -> None:
    for asked_once in (cache_folder, own_folder):
        asked_once.cache_clear()


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new" / "base"))
    return tmp_path / "new" / "base"


def test_what_is_made_is_for_this_user_alone_whatever_the_umask(base: Path) -> None:
    before = os.umask(0)
    try:
        folder = cache_folder()
        keep("name", folder, b"data")
    finally:
        os.umask(before)
    assert folder == base / "workbench"
    assert kept("name", folder) == b"data"
    made = [base.parent, base, folder, folder / "name"]
    assert [oct(path.stat().st_mode & 0o777) for path in made] == ["0o700", "0o700", "0o700", "0o600"]


def link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


def give_away(path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, -1)


HARM: dict[str, Callable[[Path], None]] = {
    "the group may write": lambda path: path.chmod(path.stat().st_mode | 0o020),
    "all may write": lambda path: path.chmod(path.stat().st_mode | 0o002),
    "another's": give_away,
    "a link": link,
}


@pytest.mark.parametrize("harm", HARM)
def test_a_folder_that_others_can_write_is_not_used_and_a_line_says_so(
    harm: str, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = base / "workbench"
    folder.mkdir(mode=0o700, parents=True)
    HARM[harm](folder)
    assert cache_folder() is None
    assert cache_folder() is None
    assert capsys.readouterr().err == NOT_USED.format(folder)


@pytest.mark.parametrize("harm", list(HARM)[:3])
def test_nor_one_in_a_folder_that_others_can_write(harm: str, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base.mkdir(mode=0o700, parents=True)
    HARM[harm](base)
    assert cache_folder() is None
    assert capsys.readouterr().err == NOT_USED.format(base)


def test_a_home_on_another_disk_and_a_shared_folder_where_each_keeps_its_own_are_used(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base.mkdir(mode=0o700, parents=True)
    link(base)
    assert cache_folder() == base.resolve() / "workbench"
    if not os.getuid():
        base.chmod(0o1777)  # as /tmp
        own_folder.cache_clear()
        cache_folder.cache_clear()
        assert cache_folder() == base.resolve() / "workbench"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("harm", HARM)
def test_a_file_that_others_can_write_is_not_read(harm: str, base: Path) -> None:
    folder = cache_folder()
    assert folder == base / "workbench"
    keep("name", folder, b"data")
    HARM[harm](folder / "name")
    assert kept("name", folder) is None
    keep("name", folder, b"new")
    assert kept("name", folder) == b"new"


@pytest.mark.parametrize("kind", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(kind: Callable[[Path], None], base: Path) -> None:
    assert base
    folder = cache_folder()
    assert folder
    kind(folder / "name")
    assert kept("name", folder) is None
    keep("name", folder, b"new")  # where it cannot be, it costs the time alone


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_or_with_a_relative_one_it_is_in_the_user_s_own(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", home)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/workbench"


def test_where_nobody_knows_a_home_or_it_cannot_be_written_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    assert cache_folder() is None
    keep("name", None, b"data")
    assert kept("name", None) is None
    assert capsys.readouterr().err == ""


def test_cut_short_anywhere_or_changed_it_is_not_there(base: Path) -> None:
    assert base
    folder = cache_folder()
    assert folder
    keep("name", folder, b"some data that is longer than its digest")
    whole = (folder / "name").read_bytes()
    for length in range(len(whole)):
        (folder / "name").write_bytes(whole[:length])
        assert kept("name", folder) is None
        (folder / "name").write_bytes(whole[:length] + bytes(len(whole) - length))
        assert kept("name", folder) is None
    keep("name", folder, b"new")
    assert kept("name", folder) == b"new"


def load(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Have a program as another process would, and return whether it had to be compiled."""
    made, make = list[str](), keeping._make

    def watched(name: str, definition: Definition, purpose: keeping.Purpose) -> bytes:
        made.append(name)
        return make(name, definition, purpose)

    definition = Definition("double", "", {"x": (3,)}, {"at": ((), "int64")}, lambda: lambda p, _: {"y": 2 * p["x"]})
    result = np.empty((1, 3), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "_known", {})
        patch.setattr(keeping, "_make", watched)
        keeping.compiled(definition, "evaluation")(np.array([1, 2, 5], np.float32), np.array([0]), 1, result)
    assert result.tolist() == [[2, 4, 10]]
    return bool(made)


@pytest.mark.filterwarnings("ignore")
def test_a_program_s_file_cut_short_or_full_of_anything_is_made_anew(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (load(monkeypatch), load(monkeypatch)) == (True, False)
    (file,) = (base / "workbench").iterdir()
    whole, chosen = file.read_bytes(), random.Random(5)  # noqa: S311
    for harmed in [b"", whole[:-1], whole[: chosen.randrange(len(whole))], chosen.randbytes(999)]:
        file.write_bytes(harmed)
        assert (load(monkeypatch), load(monkeypatch)) == (True, False)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.filterwarnings("ignore")
def test_programs_are_compiled_anew_where_others_can_write(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (load(monkeypatch), load(monkeypatch)) == (True, False)
    (base / "workbench").chmod(0o777)
    _forget()
    assert (load(monkeypatch), load(monkeypatch)) == (True, True)
    assert capsys.readouterr().err == NOT_USED.format(base / "workbench")


@pytest.mark.filterwarnings("ignore")  # torch's and MLflow's, of each other
def test_a_kept_graph_cut_short_is_traced_anew(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished_project: Project
) -> None:
    from attention.serving import model
    from attention.weights import Weights, load_weights

    weights = load_weights(finished_project.root / "data/train/model.safetensors")
    traced, trace = list[Path](), model._trace

    def counted(zeros: Weights, folder: Path) -> None:
        traced.append(folder)
        trace(zeros, folder)

    monkeypatch.setattr(model, "_trace", counted)
    graphs = []
    for attempt in range(3):
        model.write_network(weights, tmp_path / f"{attempt}")
        graphs.append((tmp_path / f"{attempt}" / model.GRAPH).read_bytes())
        (file,) = (base / "workbench").glob("*.network")
        if attempt == 1:
            file.write_bytes(file.read_bytes()[:-7])
    assert [folder.name for folder in traced] == ["0", "2"]
    assert graphs[0] == graphs[1] == graphs[2]
    files = [
        sorted(path.relative_to(folder) for path in folder.rglob("*")) for folder in map((tmp_path).__truediv__, "012")
    ]
    assert files[0] == files[1] == files[2]
