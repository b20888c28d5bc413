"""No secret is printed or recorded, wherever it stands."""

import random
import sqlite3
import string
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from attention.tracking.experiment import TRACKED
from workbench.stage.params import TrackingParams
from workbench.tracking.recorder import Recorder
from workbench.tracking.secrets import reason, without_secrets

SECRET = "s3cr3t/Zq+8"  # noqa: S105
QUOTED = quote(SECRET, safe="")
# Where a secret may stand in a tracking URI.
URIS = [
    f"http://alice:{QUOTED}@host:5000",
    f"http://alice:{SECRET}@host:5000",
    f"http://{QUOTED}@host:5000",
    f"https://:{QUOTED}@host",
    f"alice:{SECRET}@host:5000",
    f"alice:{QUOTED}@host:5000",
    f"{QUOTED}@host:5000",
    f"//alice:{QUOTED}@host:5000",
    f"postgresql://host/runs?user=alice&password={QUOTED}",
    f"postgresql://host/runs?sslpassword={QUOTED}&sslmode=require",
    f"mysql+pymysql://alice:{QUOTED}@host/runs",
    f"http://host:5000/mlflow?token={QUOTED}",
    f"http://host:5000/?api_key={QUOTED}",
    f"http://host:5000/?X-Amz-Signature={QUOTED}",
    f"wasbs://box@account/?sig={QUOTED}",
]
VARIABLES = [
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_ACCESS_KEY",
    "DATABRICKS_TOKEN",
    "GITHUB_PAT",
    "PGPASSWORD",
    "SOME_API_KEY",
    "HTTP_AUTH",
]


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.parametrize("text", ["got an unsupported URI '{}' for a store", "{}: refused", "no answer from ({}, 3)"])
def test_a_secret_in_the_tracking_uri_is_not_told(uri: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for said in (text.format(uri), text.format(SECRET), text.format(QUOTED), text.format(repr(SECRET))):
        assert not any(form in without_secrets(said) for form in (SECRET, QUOTED, "s3cr3t")), without_secrets(said)


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_secret_of_the_environment_is_not_told(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    assert SECRET in without_secrets(f"refused {SECRET} today")  # nobody knows that it is one
    monkeypatch.setenv(variable, SECRET)
    for form in (SECRET, QUOTED):
        assert without_secrets(f"refused {form} today") == "refused *** today"


@pytest.mark.parametrize(
    "text",
    [
        f"https://bob:{QUOTED}@elsewhere/x is gone",
        f"bob:{QUOTED}@elsewhere:5000 is gone",
        f"GET /x?a=1&access_token={QUOTED}&b=2",
        f'{{"password": "{SECRET}"}}',
        f"{{'client_secret': '{SECRET}'}}",
        f"Authorization: Bearer {SECRET}",
        f"authorization=Basic {SECRET}",
        f"token: {SECRET}",
        f"PASSWORD={SECRET}",
        f'password = "correct {SECRET} staple"',
        f"token: '{SECRET}",
        f'token = "a\\"{SECRET}"',
        f"passphrase = {SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n+{SECRET}",
        "x = 'ghp_s3cr3ts3cr3ts3cr3ts3cr3ts3cr3ts3cr3t'",
    ],
)
def test_a_secret_that_its_place_gives_away_is_not_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "s3cr3t" not in without_secrets(text)


def test_a_token_in_the_path_of_a_server_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "dapi0123456789abcdef0123"  # noqa: S105
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://host/t/{token}/mlflow")
    assert without_secrets(f"404 for https://host/t/{token}/mlflow") == "404 for https://host/t/***/mlflow"


def test_a_folder_with_an_at_in_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri := "sqlite:////home/someone@work/mlflow.db")
    assert without_secrets(f"{uri} opens: /home/someone") == f"{uri} opens: /home/someone"


@pytest.mark.parametrize("seed", range(50))
def test_whatever_characters_a_password_has_it_is_not_told(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)  # noqa: S311
    password = "".join(draw.choices(string.ascii_letters + string.digits + "/@:?#%&=+'\" \\[]ü", k=12))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://alice:{quote(password, safe='')}@host:5000")
    for form in (password, quote(password, safe=""), quote(password), repr(password)[1:-1]):
        assert form not in without_secrets(f"cannot log in as alice with {form} at host"), form


@pytest.mark.parametrize(
    "text",
    [
        "MlflowException: API request to endpoint failed with error code 404",
        "file:///home/me/mlruns/attention/0123456789abcdef0123456789abcdef/artifacts is gone",
        "sqlite:////home/someone@work/mlflow.db opens",
        "at 12:30:05, write to someone@example.org",
        "[Errno 13] Permission denied: '/home/me/mlflow.db'",
        "the key 'model.attention' of params.yaml: got 3",
        "n_tokens = 16, passed = True, tokenizer = load(), data.n_tokens: 3, passes == 2",
    ],
)
def test_what_is_no_secret_is_told_as_it_is(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert without_secrets(text) == text


def test_an_error_is_told_on_one_printable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "two\nlines")
    assert reason(ValueError("got two\nlines\nand more")) == "ValueError: got ***"
    assert reason(ValueError("\x1b[31mred\x07")) == "ValueError: \\x1b[31mred\\x07"
    assert len(reason(ValueError("x" * 1000))) == 200


def test_nothing_secret_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    run = Recorder(TRACKED, TrackingParams(experiment="attention", required=False), "attention")
    run.create("name", {})
    run.mark_aborted("train", ValueError(f"refused {SECRET}"))
    assert not run.lost
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        assert store.execute("SELECT value FROM tags WHERE key = 'error'").fetchall() == [
            ("train: ValueError: refused ***",)
        ]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_the_name_of_an_author_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "mary")
    monkeypatch.setenv("HTTP_AUTHORIZATION", "swordfish")
    assert without_secrets("mary, author: mary, swordfish") == "mary, author: mary, ***"
