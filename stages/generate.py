"""Generate the toy data set: a context decides which number of a sequence is the answer."""

from workbench.stage.run import run_stage

from attention.params import load_params
from attention.tasks.examples import draw_examples, draw_truth, write_examples, write_truth


def main() -> str:
    """Write data/generate/ from seed and data.*."""
    params = load_params()
    seed, data = params.seed, params.data
    truth = draw_truth(seed, data)
    write_truth("data/generate/truth.csv", truth)
    write_examples(
        "data/generate/train.parquet", draw_examples(seed, "train", data.n_train, truth, data.seq_len), data.seq_len
    )
    write_examples(
        "data/generate/test.parquet", draw_examples(seed, "test", data.n_test, truth, data.seq_len), data.seq_len
    )
    return (
        f"generate: seed {seed} -> {data.n_train:,} training and {data.n_test:,} test sequences of {data.seq_len}, "
        f"{data.n_contexts} contexts -> data/generate/"
    )


if __name__ == "__main__":
    run_stage(main)
