"""The laboratory's own commands: what a study found, and named experiments."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Project
from ruamel.yaml import YAML

from attention.command.experiments import FOLDER, names, read_experiment
from attention.command.study import show_study
from attention.params import load_study
from workbench.command.snapshot import experiments
from workbench.stage.errors import DataError, ParamsError, SelectionError

NUMBERS = (
    "diverged,found,found.low,found.high,mse.median,mse.low,mse.high,effective.median,effective.low,effective.high"
)
OTHER = "allowed: asks, a line; stage, plot or study; params, by dotted key"


def attempt(project: Project, *arguments: str) -> tuple[int, str, str]:
    """Run `attention` in a project, warm."""
    command = ("python", "-m", "attention.project", *arguments)
    done = project.attempt(*command, PYTHONPATH=str(project.root / "stages"), PYTHONWARNINGS="ignore")
    return done.returncode, done.stdout, done.stderr


class TestStudy:
    def test_it_says_which_is_better_in_numbers_for_people(self, finished_project: Project) -> None:
        status, said, _ = attempt(finished_project, "study")
        header, first, second, _, answer, _, sentence = said.splitlines()
        assert status == 0
        assert header.split("  ")[0] == "model.attention"
        assert [first.split()[0], second.split()[0]] == ["embedding", "softmax"]
        assert "of 5 seeds or more" in first  # it has three
        assert answer.startswith("less than half of the trainings find the truth with embedding; whether ")
        assert sentence.startswith(
            "embedding and softmax: no difference in error that 3 seeds show (the first is lower"
        )

    def test_differences_come_first_and_the_rest_is_counted(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "best.csv").write_text("model.width,trainings\n")
        spread = f"model.width,trainings,{NUMBERS}"
        rows = "".join(f"{n},10,1,0.7,0.4,0.9,{n}e-05,1e-6,inf,0.51,0.41,0.61\n" for n in (1, 2, 3))
        (tmp_path / "summary.csv").write_text(f"{spread}\n{rows}")
        (tmp_path / "comparison.csv").write_text("differs,says\nfalse,a\nfalse,b\ntrue,\x1b[31mc\n")
        show_study(tmp_path, 2, "all.csv")
        said = capsys.readouterr().out.splitlines()
        assert " ".join(said[1].split()) == "1 7 of 10 1 1.00e-05 1.00e-06 to inf 0.5100 0.4100 to 0.6100"
        assert said[3:] == [
            "… and 1 more configurations: all.csv",
            "",
            "whether more than half of the trainings find the truth is undecided at every width; the median error is "
            "lowest at width 1 (1e-05), highest at width 3 (3e-05)",
            "",
            "\\x1b[31mc",
            "a",
            "… and 1 more pairs: all.csv",
        ]

    def test_what_was_chosen_is_shown_in_the_place_of_all(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "summary.csv").write_text(f"train.learning_rate,trainings,{NUMBERS}\n")
        names = "train.learning_rate,choosing,candidates,near,at_edge,trainings"
        (tmp_path / "best.csv").write_text(f'{names},{NUMBERS}\n0.1,5,2,"[0.1, 0.2]",,5,0,1.0,,,0.1,,,0.9,,\n')
        (tmp_path / "comparison.csv").write_text("differs,says\n")
        show_study(tmp_path, None, "")
        title, header, row = capsys.readouterr().out.splitlines()
        assert title == "At the best value, chosen on one half of the seeds and reported on the other:"
        assert header.split()[:3] == ["train.learning_rate", "near", "at_edge"]
        assert row.split()[:3] == ["0.1", "[0.1,", "0.2]"]

    @pytest.mark.parametrize("text", ["", "model.width\n1,2\n", "says\n\udcff", "trainings\n5\n", 'a,b\n"1'])
    def test_what_is_no_study_is_told_in_a_line(self, text: str, tmp_path: Path) -> None:
        for name in ("best", "comparison", "summary"):
            (tmp_path / f"{name}.csv").write_text("differs,says\n")
        (tmp_path / "summary.csv").write_bytes(text.encode(errors="surrogateescape"))
        if not text:
            (tmp_path / "summary.csv").unlink()
        with pytest.raises(DataError) as caught:
            show_study(tmp_path, None, "")
        told = {True: f"{tmp_path}: not the tables of a study; `dvc repro -f study` writes them again"}
        missing = f"{tmp_path}/summary.csv: cannot be read (No such file or directory); `dvc repro study` writes it"
        assert str(caught.value) == told.get(bool(text), missing)


class TestExperiments:
    @pytest.mark.parametrize("name", names(ROOT))
    def test_each_one_that_there_is_can_be_run(self, name: str, tmp_path: Path) -> None:
        tree = YAML(typ="safe").load(ROOT / "params.yaml")
        for key, value in read_experiment(ROOT, name).params.items():
            section, _, leaf = key.partition(".")
            if leaf:
                assert leaf in tree[section], key
                tree[section][leaf] = value
            else:
                tree[section] = value
        YAML().dump(tree, tmp_path / "params.yaml")
        load_study(tmp_path / "params.yaml")

    def test_one_is_run_as_a_dvc_experiment_and_its_files_are_copied(
        self, finished_project: Project, tmp_path: Path
    ) -> None:
        """Its grid takes the place of the one in params.yaml, which as everything else here stays as it is."""
        project = finished_project.copy(tmp_path / "project")
        shutil.rmtree(project.root / FOLDER)
        (project.root / FOLDER).mkdir()
        file = project.root / FOLDER / "tiny.yaml"
        file.write_text(
            "asks: Is it small?\nstage: study\nparams:\n  study.seeds: 2\n"
            "  study.grid: {train.learning_rate: [0.01, 1e-05], data.true_attention: [random, [2, 6, 3]]}\n"
            "  study.best: {over: [train.learning_rate], by: mse}\n"
        )
        project.commit()
        before = project.outputs()
        assert attempt(project, "experiments") == (0, "name  asks\ntiny  Is it small?\n", "")
        status, said, told = attempt(project, "experiments", "tiny", "--seeds", "4")
        assert (status, told) == (0, "")
        assert "tiny: pictures and tables in experiments/results/tiny/, DVC experiment tiny" in said
        assert project.outputs() == before
        assert project.run("git", "status", "--porcelain").stdout == ""
        commit = experiments(project.root)["tiny"]
        params = YAML(typ="safe").load(project.run("git", "show", f"{commit}:params.yaml").stdout)
        assert params["study"] == {
            "seeds": 4,
            "grid": {"train.learning_rate": [0.01, 1e-05], "data.true_attention": ["random", [2, 6, 3]]},
            "compare": "neighbours",
            "best": {"over": ["train.learning_rate"], "by": "mse"},
        }
        assert (project.root / FOLDER / "results/tiny/errors.png").exists()
        assert "At the best value, chosen on one half of the seeds" in said

    def test_what_cannot_be_run_is_told_in_a_line(self, finished_project: Project, tmp_path: Path) -> None:
        project = finished_project.copy(tmp_path / "project")
        file = project.root / FOLDER / "wrong.yaml"
        file.write_text("asks: Why?\nstage: study\nparams: {train.epochs: 0}\n")
        project.commit()
        status, said, told = attempt(project, "experiments", "wrong")
        assert status == 1
        assert "train.epochs: got 0; allowed: a whole number from 1 to 10000" in said + told
        assert told.splitlines()[-1] == (
            "wrong: DVC did not finish it; mend what it says above, and give the command again"
        )

    def test_a_file_or_a_name_that_is_wrong_is_told_in_a_line(self, tmp_path: Path) -> None:
        (tmp_path / FOLDER).mkdir()
        file = tmp_path / FOLDER / "a.yaml"
        for text, what in {
            "asks: A\nstage: train\nparams: {}\n": "at stage",
            "asks: A\nstage: plot\n": "at params",
            "asks: [": "no YAML",
            "5": "at ",
        }.items():
            file.write_text(text)
            with pytest.raises(ParamsError) as caught:
                read_experiment(tmp_path, "a")
            assert str(caught.value) == f"{FOLDER}/a.yaml: {what}; {OTHER}"
        with pytest.raises(SelectionError, match=r"^experiments: got 'b'; allowed: a$"):
            read_experiment(tmp_path, "b")
        file.unlink()
        file.mkdir()
        with pytest.raises(ParamsError, match=r"^experiments/a\.yaml: cannot be read \(Is a directory\)$"):
            read_experiment(tmp_path, "a")
