"""Generate the data of a task: what tells where to look, what stands there, and the true position of each case."""

from workbench.stage.run import run_stage

from attention.params import load_params
from attention.tasks.cases import write_truth
from attention.tasks.examples import write_examples
from attention.tasks.problem import draw_columns, number_of_cases


def main() -> str:
    """Write data/generate/ from seed and data.*."""
    params = load_params()
    seed, data = params.seed, params.data
    problem = data.problem(seed)
    write_truth("data/generate/truth.csv", problem, seed)
    for split, n in (("train", data.n_train), ("test", data.n_test)):
        write_examples(f"data/generate/{split}.parquet", draw_columns(problem, seed, split, n), problem)
    cases = f"{number_of_cases(problem)} {'contexts' if problem.task == 'lookup' else 'cases'}"
    return (
        f"generate: {problem.task}, seed {seed} -> {data.n_train:,} training and {data.n_test:,} test sequences of "
        f"{problem.seq_len}, {cases} -> data/generate/"
    )


if __name__ == "__main__":
    run_stage(main)
