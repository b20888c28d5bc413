"""Show what the results withstand: python benchmarks/trust.py [PART …].

The parts: cpu, aarch64, zlib, torch, tracker, kills, input, hostile, disk, race, restore.

Everything that tests/ tries in short, at full size: other processors, trackers that fail, kills, wrong input, full
disks, many processes at once. Parts that are not named keep their rows; each row has the commit that it was tried at.
All of it takes about an hour on two cores.
"""

import csv
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import features
from zlib_ng import zlib_ng

from report import RESULTS, write_markdown, write_report

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/support"), str(ROOT / "stages")]
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

import bad_inputs  # noqa: E402
import cpu_settings  # noqa: E402
import deflating  # noqa: E402
import faulty_servers  # noqa: E402
import full_disk  # noqa: E402
import killing  # noqa: E402
import restoring  # noqa: E402
from conftest import Project, clean_environment, open_store, recorded_runs, small_project  # noqa: E402

from attention.project import TORCH  # noqa: E402
from workbench.command.comparison import distances  # noqa: E402

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

Row = dict[str, str]
MOST_LINES = 4  # of a cell of the summary; the other table has them all
WHAT = {
    "cpu": "other processors: every function",
    "aarch64": "other processors: an ARM one, emulated",
    "zlib": "other libraries that compress pictures",
    "torch": "other processors: `engine: torch`",
    "tracker": "trackers that fail, and how much longer it takes",
    "kills": "kills and interrupts",
    "input": "wrong input",
    "hostile": "what a hostile store, file, cache or configuration was made to try",
    "disk": "no room, no right to write",
    "race": "many at once",
    "restore": "`attention restore`",
}
STAGES = ("generate", "train", "evaluate", "plot")
QUIET = {"PYTHONWARNINGS": "ignore"}
ROUNDS = 3  # of which the median counts
KILLS, INTERRUPTS, REPRO_KILLS = 12, 2, 12
PROCESSES = 40  # wrong inputs that are tried as processes of their own
FUZZ_EXAMPLES = 500
# What is tried on the commands and the caches are tests, one an attempt, each with what must come of it.
HOSTILE = {
    "runs in the store forged by a colleague: restored, verified, listed": "workbench/test_hostile",
    "git settings, hooks and environment, the user's and others'": "workbench/test_git",
    "a cache that others can write, that is no folder, or cut short": "workbench/test_cache",
    "runs and experiments of any content, listed": "workbench/test_hostile_store",
    "a store that was deleted, locked, copied, or is of another MLflow": "workbench/test_store_faults",
    "passwords and tokens, in addresses, settings and messages": "workbench/test_secrets",
}


def main() -> None:
    """Try the parts named, or all; write benchmarks/results/trust.{csv,md}."""
    parts = {
        "cpu": cpu,
        "aarch64": aarch64,
        "zlib": zlibs,
        "torch": torch_engine,
        "tracker": tracker,
        "kills": kills,
        "input": wrong_input,
        "hostile": hostile,
        "disk": disk,
        "race": race,
        "restore": restore,
    }
    chosen = sys.argv[1:] or list(parts)
    command = ["git", "describe", "--always", "--dirty"]
    here = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        finished = small_project(Path(folder) / "finished")
        finished.run("dvc", "repro", "--quiet")
        finished.commit("results")
        for part in chosen:
            place = Path(folder) / part
            place.mkdir()
            new = []
            for tried, often, result in parts[part](finished, place):
                print(f"{part}: {tried} | {often} | {result}", flush=True)
                new.append({"part": part, "what was tried": tried, "how often": often, "result": result, "at": here})
            rows = earlier_rows() | {part: new}  # read again: another process may have finished other parts
            ordered = [row for name in parts for row in rows.get(name, [])]
            write_report("trust", ordered, "What was tried against the results, and how often they gave way")
            write_markdown("trust_summary", list(summary(ordered)), "What the results withstood")


def summary(rows: list[Row]) -> Iterator[Row]:
    """Put rows of a part that ended in the same way together, a line each, with what is its own: number and delay."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        ended = re.sub(r"; [+-]?[\d.]+ s$| \(as it is here.*|: MSE by.*", "", row["result"])
        groups.setdefault((row["part"], ended, row["at"]), []).append(row)
    for (part, ended, at), group in groups.items():
        numbers = {row["how often"] for row in group}
        lines = []
        for row in group:
            delay = re.findall(r"; ([+-][\d.]+ s)$", row["result"])
            own = [row["how often"]] * (len(numbers) > 1) + delay
            lines.append(f"{row['what was tried']}{': ' * bool(own)}{', '.join(own)}")
        if len(lines) > MOST_LINES:
            lines[MOST_LINES - 1 :] = [f"and {len(lines) - MOST_LINES + 1} more"]
        often = f"{numbers.pop()}{' each' * (len(group) > 1)}" if len(numbers) == 1 else ""
        yield {"what": WHAT[part], "tried": "<br>".join(lines), "how often": often, "result": ended, "at": at}


def earlier_rows() -> dict[str, list[Row]]:
    """Return the rows of each part as they were last written."""
    rows: dict[str, list[Row]] = {}
    if (RESULTS / "trust.csv").exists():
        with (RESULTS / "trust.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                rows.setdefault(row["part"], []).append(row)
    return rows


Told = Iterator[tuple[str, str, str]]


def cpu(_: Project, place: Path) -> Told:
    """Every function, as other processors and other numbers of threads would run it."""
    configurations = cpu_settings.full_configurations()
    reference, plain = None, {}
    for name, setting in cpu_settings.settings().items():
        folder = place / name.replace("/", " ")
        folder.mkdir()
        digests, witness = cpu_settings.run_pipelines(folder, configurations, setting.environment)
        if reference is None:
            reference, plain = digests, witness
        different = cpu_settings.differences(reference, digests)
        result = f"{len(different)} differ: {'; '.join(different[:3])}" if different else "the same bytes"
        if setting.shown_by and witness[setting.shown_by] == plain[setting.shown_by]:
            result += f" (as it is here anyway: {witness[setting.shown_by][:40]})"
        yield name, f"{sum(map(len, digests.values()))} files of {len(digests)} pipelines", result


def aarch64(_: Project, place: Path) -> Told:
    """The same files on an emulated ARM processor, where this machine has an emulator and a Python for it.

    AARCH64_PYTHON names an aarch64 Python in whose environment requirements.lock is installed; docs/trust.md tells
    how to have one without an ARM computer. One configuration in seven: an emulated pipeline takes minutes.
    """
    python, emulator = (
        os.environ.get("AARCH64_PYTHON"),
        shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static"),
    )
    if not (python and emulator):
        lacks = "AARCH64_PYTHON is not set" if emulator else "qemu-aarch64 is not installed"
        yield "aarch64, emulated", "0", f"not tried: {lacks}"
        return
    configurations = dict([*cpu_settings.full_configurations().items()][::7])
    digests = []
    for name, command in {"here": [sys.executable], "there": [emulator, python]}.items():
        (place / name).mkdir()
        digests.append(cpu_settings.run_pipelines(place / name, configurations, {}, command)[0])
    different = cpu_settings.differences(*digests)
    result = f"{len(different)} differ: {'; '.join(different[:3])}" if different else "the same bytes"
    yield "aarch64, emulated", f"{sum(map(len, digests[0].values()))} files of {len(digests[0])} pipelines", result


def zlibs(finished: Project, _: Path) -> Told:
    """Every picture of a pipeline, compressed again by other libraries than that of Pillow here."""
    drawn = [path.read_bytes() for path in sorted((finished.root / "data").rglob("*.png"))]
    here = f"zlib-ng {features.version_feature('zlib_ng')}" if features.check_feature("zlib_ng") else "a zlib"
    libraries = {f"zlib {zlib.ZLIB_RUNTIME_VERSION}": zlib, f"zlib-ng {zlib_ng.ZLIBNG_VERSION} of PyPI": zlib_ng}
    for name, library in libraries.items():
        same = sum(deflating.compress(one, library, deflating.OURS) == deflating.compressed(one) for one in drawn)
        result = "the same bytes" if same == len(drawn) else f"{len(drawn) - same} differ"
        yield f"{name}, as Pillow's {here}", f"{len(drawn)} pictures", result


def torch_engine(_: Project, place: Path) -> Told:
    """The engine that does not promise its bytes: how far apart its numbers are, and what `verify` would say.

    Of the article's function, and of those whose weights part farthest.
    """
    for function in ("embedding", "dot", "hard", "cosine", "local", "multihead"):
        found: dict[str, dict[str, bytes]] = {}
        for level in ("default", "avx2", "avx512"):
            folder = place / f"{function} {level}"
            folder.mkdir()
            wanted = {"one": cpu_settings.configuration(function, {}, *STAGES[:2], engine="torch")}
            cpu_settings.run_pipelines(folder, wanted, {"ATEN_CPU_CAPABILITY": level})
            found[level] = Project(folder / "project").outputs()
        error, other, allowed = 0.0, 0.0, TORCH["train"]
        for one, another in combinations(found.values(), 2):
            for path in (path for path in one if path.startswith("data/train/")):
                for name, distance in distances(path, one[path], another[path]).items():
                    if name == "mse":
                        error = max(error, distance)
                    else:
                        other = max(other, distance)
        same = all(outputs == found["default"] for outputs in found.values())
        verdict = "within the tolerance" if error <= allowed.of("mse") and other <= allowed.other else "NOT ALLOWED"
        apart = f"{verdict}: MSE by at most {error:.1e}, weights, attention and recovery by {other:.1e}"
        result = "the same bytes" if same else apart
        yield f"engine: torch, {function}: ATEN default, avx2, avx512", "3 trainings", result


def tracker(finished: Project, place: Path) -> Told:
    """Trackers that fail: what is lost, and how much longer the pipeline takes."""
    ways: dict[str, Callable[[], AbstractContextManager[str]]] = {
        "works": lambda: nullcontext(""),
        **faulty_servers.FAULTS,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    wrong: dict[str, list[str]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        for name, start in ways.items():
            project = fresh(finished, place / f"{name} {number}")
            with start() as uri:
                environment = {"MLFLOW_TRACKING_URI": uri} if uri else {}
                started = time.perf_counter()
                said = [project.attempt("python", f"stages/{stage}.py", **QUIET, **environment) for stage in STAGES]
                seconds[name].append(time.perf_counter() - started)
            warnings = [line for done in said for line in done.stderr.splitlines()]
            statuses = [done.returncode for done in said]
            wrong[name] += [f"statuses {statuses}"] * (statuses != [0] * len(STAGES))
            wrong[name] += ["other bytes"] * (project.outputs() != finished.outputs())
            wrong[name] += [f"said {warnings}"] * (len(warnings) != (0 if name == "works" else 3))
            wrong[name] += ["the password is told"] * bool(says_password(project.root))
            shutil.rmtree(project.root)
    normal = statistics.median(seconds["works"])
    for name, times in seconds.items():
        if name != "works":
            delay = max(0.0, statistics.median(times) - normal)  # below zero it is noise
            ended = "; ".join(wrong[name]) or "all outputs, the same bytes; a warning a stage"
            yield f"a tracker that {name}", f"{ROUNDS} pipelines", f"{ended}; {delay:+.1f} s"
    yield from gone_in_the_middle(finished, place)


def gone_in_the_middle(finished: Project, place: Path) -> Told:
    """Kill, or stop, a real MLflow server while a training reports to it."""
    slow = {"train.engine": "torch", "train.epochs": 60}
    seconds: dict[str, list[float]] = {"stays": [], "is killed": [], "stops to answer": []}
    wrong: dict[str, list[str]] = {name: [] for name in seconds}
    wanted: dict[str, bytes] = {}
    for number in range(ROUNDS):
        for name in seconds:
            folder = place / f"{name} {number}"
            folder.mkdir()
            project = fresh(finished, folder / "project")
            project.set_params(slow)
            with faulty_servers.mlflow_server(folder) as (uri, group):
                started = time.perf_counter()
                said = []
                for stage in STAGES:
                    with (project.root / "said.txt").open("w") as file:
                        process = subprocess.Popen(
                            ["python", f"stages/{stage}.py"],
                            cwd=project.root,
                            env=clean_environment(MLFLOW_TRACKING_URI=uri, **QUIET),
                            stdout=file,
                            stderr=subprocess.STDOUT,
                        )
                    try:
                        while stage == "train" and name != "stays" and process.poll() is None:
                            if "epoch 8:" in (project.root / "said.txt").read_text():
                                os.killpg(group, signal.SIGKILL if name == "is killed" else signal.SIGSTOP)
                                break
                            time.sleep(0.02)
                        wrong[name] += [f"{stage}: status {process.returncode}"] * (process.wait() != 0)
                    finally:
                        process.kill()
                        process.wait()
                    said += (project.root / "said.txt").read_text().splitlines()
                seconds[name].append(time.perf_counter() - started)
            wanted = wanted or project.outputs()
            wrong[name] += ["other bytes"] * (project.outputs() != wanted)
            warnings = [line for line in said if line.startswith("warning: MLflow")]
            wrong[name] += [f"said {warnings}"] * (len(warnings) != (0 if name == "stays" else 3))
            wrong[name] += ["a traceback"] * any("Traceback" in line for line in said)
            wrong[name] += ["the password is told"] * bool(says_password(folder))
            shutil.rmtree(folder)
    for name, times in seconds.items():
        delay = max(0.0, statistics.median(times) - statistics.median(seconds["stays"]))
        ended = "; ".join(wrong[name]) or "all outputs, the same bytes"
        yield f"an MLflow server that {name} in the middle", f"{ROUNDS} pipelines", f"{ended}; {delay:+.1f} s"


def kills(finished: Project, place: Path) -> Told:
    """kill -9 and interrupts at random moments, of every stage and of `dvc repro`."""
    project, earlier = killing.prepare(finished, place / "project", n_train=200_000)
    for stage in STAGES:
        for number, times in {signal.SIGKILL: KILLS, signal.SIGINT: INTERRUPTS, signal.SIGTERM: INTERRUPTS}.items():
            seen, wrong = killing.ordeal(project, stage, earlier, number, times, seed=7, took=3.0)
            ended = sum(killing_.status == 0 for killing_ in seen)
            done = f", of which {ended} after its end" if ended else ""
            statuses = sorted({killing_.status for killing_ in seen} - {0, -number, 130, -signal.SIGINT})
            wrong += [f"status {status}" for status in statuses]
            result = "; ".join(dict.fromkeys(wrong)) or "no byte lost or changed, none half-written, no run RUNNING"
            yield f"{number.name} at a random moment of {stage}", f"{times}{done}", result
    yield from kills_of_repro(finished, place)


def kills_of_repro(finished: Project, place: Path) -> Told:
    """kill -9 of DVC and of the stage that it runs, then `dvc repro` again."""
    project = finished.copy(place / "repro")
    command = ["dvc", "repro", "--quiet", "--no-run-cache"]
    wanted, took = [project.outputs()], 0.0
    project.set_params({"seed": 5})
    started = time.monotonic()
    project.run(*command, **QUIET)
    took = time.monotonic() - started
    wanted.append(project.outputs())
    wrong: list[str] = []
    chosen = random.Random(7)  # noqa: S311
    for number in range(REPRO_KILLS):
        now = wanted[number % 2]
        project.set_params({"seed": (0, 5)[number % 2]})
        allowed = {name: (None, wanted[0].get(name), wanted[1].get(name)) for name in now}
        moment = took * chosen.random()
        killed = killing.end_at_random(project, command, signal.SIGKILL, moment, allowed)
        wrong += [f"{name} was half-written" for name in killed.torn]
        done = project.attempt(*command, **QUIET)
        wrong += [f"dvc repro again: {done.stderr.strip().splitlines()[-1:]}"] * (done.returncode != 0)
        wrong += [f"{name} is not the same" for name, data in now.items() if project.outputs().get(name) != data]
        wrong += ["a run is left RUNNING"] * ("RUNNING" in killing.statuses(project))
        wrong += [f"git shows {name}" for name in killing.untracked(project)]
    status = project.run("dvc", "status", "--json").stdout.strip()
    wrong += [f"dvc status says {status[:80]}"] * (status != "{}")
    result = "; ".join(dict.fromkeys(wrong)) or "after `dvc repro`: no byte lost or changed, no run RUNNING"
    yield "SIGKILL at a random moment of `dvc repro`", str(REPRO_KILLS), result


def wrong_input(finished: Project, place: Path) -> Told:
    """Every kind of wrong input, and a fuzz of every reader."""
    every = bad_inputs.wrong_inputs()
    yield "wrong input, told in one line", f"{len(every)} kinds", verdicts(attempts(finished, every))
    told = {}
    for name in list(every)[:: max(1, len(every) // PROCESSES)]:
        project = Project(place / "project")
        bad_inputs.do_harm(every[name], finished.root, project.root)
        before = bad_inputs.outputs(project.root)
        done = project.attempt(
            *("python", f"stages/{every[name].stage}.py"), MLFLOW_TRACKING_URI=f"sqlite:///{place}/store.db", **QUIET
        )
        changed = bad_inputs.outputs(project.root) != before
        told[name] = bad_inputs.report(done.returncode, done.stdout + done.stderr, changed=changed)
        shutil.rmtree(project.root)
    yield "the same, each a process of its own", f"{len(told)} kinds", verdicts(told)
    count, failed = run_tests("pipeline/test_fuzz", FUZZ_EXAMPLES=str(FUZZ_EXAMPLES))
    yield (
        "any bytes, and harm done to whole files",
        f"{count} × {FUZZ_EXAMPLES} examples",
        failed or "only messages for users came out",
    )


def hostile(finished: Project, _: Path) -> Told:
    """Whatever is made to wait, to fill the memory, to run, or to be taken for something else."""
    kinds: dict[str, list[str]] = {}
    for name, wrong in bad_inputs.hostile_inputs().items():
        what = (
            "params.yaml" if wrong.file == bad_inputs.PARAMS else Path(wrong.file).suffix.removeprefix(".") + " files"
        )
        kinds.setdefault(what, []).append(name)
    for what, names in kinds.items():
        often = f"{len(names)} attempts"
        yield (
            f"{what} without an end, larger than memory, or of two meanings",
            often,
            verdicts(attempts(finished, names)),
        )
    for what, module in HOSTILE.items():
        if (ROOT / f"tests/{module}.py").exists():
            count, failed = run_tests(module)
            yield (
                what,
                f"{count} attempts",
                failed or "refused or harmless, as each should be; nothing else ran or changed",
            )


def attempts(finished: Project, names: Iterable[str]) -> dict[str, dict[str, object]]:
    """Return what the stages say to wrong inputs, all of them tried in one process."""
    script, environment = (
        str(ROOT / "tests/support/bad_inputs.py"),
        {"PYTHONPATH": str(finished.root / "stages"), **QUIET},
    )
    told: dict[str, dict[str, object]] = json.loads(
        finished.run("python", script, str(finished.root), *names, **environment).stdout
    )
    return told


def run_tests(module: str, **environment: str) -> tuple[int, str]:
    """Run a module of tests; return how many passed, and what is wrong if not all did."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "--dist", "load", f"tests/{module}.py"],
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    passed = re.search(r"(\d+) passed", last)
    return int(passed[1]) if passed else 0, last.strip("= ") if done.returncode else ""


def verdicts(told: dict[str, dict[str, object]]) -> str:
    """Say what is wrong with answers to wrong input."""
    wrong = [f"{name}: {found}" for name, result in told.items() if (found := bad_inputs.verdict(result))]
    return "; ".join(wrong) or "one clear line each, status 1, no traceback, outputs untouched"


def disk(finished: Project, place: Path) -> Told:
    """A disk with little room, and a checkout, a store and a cache that cannot be written."""
    apart = full_disk.namespace()
    if not apart:
        yield "a full disk, a read-only checkout", "0", "not tried: mounting is not permitted here"
        return
    rooms = [str(room) for room in (0, 4, 8, 16, 32, 64, 128)]
    script = str(ROOT / "tests/support/full_disk.py")
    done = finished.run(*apart, sys.executable, script, str(finished.root), str(place), *rooms, **QUIET)
    attempts = json.loads(done.stdout)
    for kind, chosen in {
        "a disk with 0 to 128 kB left": [name for name in attempts if "kB left" in name],
        "a read-only checkout": [name for name in attempts if ", read-only: " in name],
        "a store or a cache, full or read-only": [n for n in attempts if ", store" in n or ", cache" in n],
    }.items():
        wrong = [f"{name}: {attempts[name]}" for name in chosen if attempts[name]]
        fine = "a warning at most, the same bytes" if "store" in kind else "the outputs or one line, nothing corrupt"
        yield kind, f"{len(chosen)} stages", "; ".join(wrong) or fine


def race(finished: Project, place: Path) -> Told:
    """Many trainings that start at once on a store that does not exist."""
    for count in (8, 32):
        copies = [finished.copy(place / str(count) / str(seed), ".git", ".dvc") for seed in range(count)]
        for seed, project in enumerate(copies):
            project.set_params({"seed": seed})
        store = f"sqlite:///{place}/{count}/store.db"
        started, processes = time.perf_counter(), []
        for project in copies:
            with (project.root / "said.txt").open("w") as said:
                environment = clean_environment(MLFLOW_TRACKING_URI=store, **QUIET)
                command = ["python", "stages/train.py"]
                processes.append(
                    subprocess.Popen(command, cwd=project.root, env=environment, stdout=said, stderr=subprocess.STDOUT)
                )
        statuses = [process.wait() for process in processes]
        took = time.perf_counter() - started
        wrong = [f"{sum(map(bool, statuses))} failed"] * any(statuses)
        warned = sum("warning: MLflow" in (project.root / "said.txt").read_text() for project in copies)
        wrong += [f"{warned} lost their store"] * bool(warned)
        client = open_store(store)
        runs = recorded_runs(client)
        whole = sum(is_whole(client, run, copies) for run in runs)
        wrong += [f"{whole} of {len(runs)} runs are whole"] * (not whole == len(runs) == count)
        result = "; ".join(wrong) or "all FINISHED, with every metric at every step"
        yield f"{count} trainings at once on no store", f"{count} processes", f"{result}; {took:.0f} s"


def is_whole(client: "MlflowClient", run: "Run", copies: list[Project]) -> bool:
    """Whether a run is finished and has every number of its history."""
    project = copies[int(run.data.params["seed"])]
    with (project.root / "data/train/history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in rows[0].keys() - {"epoch"}:
        tracked = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, f"train/{name}")]
        if tracked != [(int(row["epoch"]), float(row[name])) for row in rows]:
            return False
    return bool(run.info.status == "FINISHED")


def restore(finished: Project, place: Path) -> Told:
    """Runs of different configurations, each restored by the command, with DVC's cache and without."""
    project = finished.copy(place / "project")
    for cached in (True, False):
        for name, wanted in restored_runs(cached).items():
            kept = [restoring.make(project, one, number) for number, one in enumerate(wanted)]
            (project.root / "note.txt").write_text(f"{name} {cached}")
            project.commit("a note")  # so that the next runs are of another commit
            if not cached:
                restoring.lose_cache(project)
            told = [
                what
                for number, one in enumerate(kept)
                for what in restoring.problems(project, one, place / f"{name} {number} {cached}")
            ]
            how = "from DVC's cache" if cached else "by running again, the cache deleted"
            result = "; ".join(told) or "every output, params.yaml and all code: the same bytes"
            yield f"restore of {name}, {how}", f"{len(kept)} runs", result


def restored_runs(cached: bool) -> dict[str, list[restoring.Wanted]]:
    """Return runs of different configurations by what they have in common; other ones for other caches."""
    first = 10 if cached else 20
    large = {"data.n_train": 10_000, "data.seq_len": 8, "data.n_contexts": 5, "data.true_attention": [2, 7, 3, 5, 1]}
    shuffled = {"train.shuffle": True, "train.batch_size": 7}
    random = {"data.true_attention": "random", "data.seq_len": 13, "data.n_contexts": 6, "data.n_train": 307}

    def functions(*names: str) -> list[dict[str, object]]:
        return [{"model.attention": name, "seed": first + number} for number, name in enumerate(names)]

    one, two, three, four, five = functions("embedding", "softmax", "additive", "multihead", "hard")
    six, seven, eight, nine, ten = functions("gaussian", "sparsemax", "dot", "bilinear", "embedding")
    experiments = [one, two | shuffled, four | random, five | {"train.epochs": 3}]
    runs = [six, seven | shuffled, eight | random, nine | large | {"train.learning_rate": 0.001}]
    changes = ("a file", "a new file", "a new binary file", "ends of lines")
    dirty = [three | random, ten | shuffled, two | {"train.epochs": 1}, four | {"model.heads": 4}]
    return {
        "DVC experiments": [restoring.Wanted(params, by="experiment") for params in experiments],
        "MLflow runs, params.yaml alone not committed": [
            restoring.Wanted(params, by=by) for params, by in zip(runs, ("name", "id") * 2, strict=True)
        ],
        "runs of code that was not committed": [
            restoring.Wanted(params, change, by)
            for params, change, by in zip(dirty, changes, ("name", "experiment", "id", "name"), strict=True)
        ],
    }


def fresh(finished: Project, folder: Path) -> Project:
    """Return a copy in which nothing has run."""
    project = finished.copy(folder, ".git", ".dvc")
    for stage in STAGES:
        shutil.rmtree(project.root / "data" / stage)
    return project


def says_password(folder: Path) -> list[str]:
    """Return the files that hold the password of the tracking URI."""
    secret = faulty_servers.PASSWORD.encode()
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


if __name__ == "__main__":
    main()
