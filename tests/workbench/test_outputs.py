"""Outputs are whole or not there."""

import os
from pathlib import Path

import pytest

from workbench.stage.errors import OutputError
from workbench.stage.outputs import _remove_left_overs, writing
from workbench.stage.process import birth


def test_a_file_appears_with_its_folders_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.csv"
    with writing(path) as beside:
        beside.write_text("seven")
        assert not path.exists()
    assert path.read_text() == "seven"
    assert list(path.parent.iterdir()) == [path]


def test_the_new_file_takes_the_place_of_the_old_one_at_once(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with path.open() as reader:
        with writing(path) as beside:
            beside.write_text("new")
            assert path.read_text() == "old"
        assert reader.read() == "old"  # renamed into place, not written over: who has it open keeps the old one
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("earlier", ["old", None])
def test_a_failure_leaves_the_old_file_and_no_stray_one(
    tmp_path: Path, error: type[BaseException], earlier: str | None
) -> None:
    path = tmp_path / "table.csv"
    if earlier is not None:
        path.write_text(earlier)

    def write_half() -> None:
        with writing(path) as beside:
            beside.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({} if earlier is None else {"table.csv": earlier})


def test_the_file_is_prepared_in_its_own_folder_under_a_hidden_name(tmp_path: Path) -> None:
    with writing(tmp_path / "table.csv") as beside:
        assert beside.parent == tmp_path  # a rename is whole only within one file system
        assert beside.name.startswith(".table.csv.")
        beside.touch()


def test_a_file_that_somebody_reads_is_waited_for_where_the_system_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows does it; where it lasts, one line."""
    refusals, replace = [], Path.replace

    def refuse(path: Path, target: Path) -> Path:
        refusals.append(path)
        if len(refusals) % 5 or lasting:
            raise PermissionError(13, "somebody reads it")
        return replace(path, target)

    monkeypatch.setattr("workbench.stage.outputs.PATIENCE", 5)
    monkeypatch.setattr("workbench.stage.outputs.time.sleep", lambda _: None)
    monkeypatch.setattr(Path, "replace", refuse)
    lasting = False
    with writing(tmp_path / "table.csv") as beside:
        beside.write_text("seven")
    lasting = True
    with pytest.raises(OutputError, match=r"table.csv: cannot be written \(Permission denied\); what was there is as"):
        write(tmp_path / "table.csv")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["seven"]
    assert len(refusals) == 5 + 6


def write(path: Path) -> None:
    with writing(path) as beside:
        beside.write_text("eight")


def test_what_a_process_of_an_earlier_boot_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    dead = tmp_path / ".table.csv.1-00000000-0000-0000-0000-000000000000_1_1"
    living = tmp_path / f".table.csv.{os.getpid()}-{birth()}"
    for path in (dead, living):
        path.touch()

    _remove_left_overs(tmp_path / "table.csv")
    assert [*tmp_path.iterdir()] == [living]
