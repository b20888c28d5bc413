"""Outputs are whole or not there."""

from pathlib import Path

import pytest

from workbench.stage.outputs import writing


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
