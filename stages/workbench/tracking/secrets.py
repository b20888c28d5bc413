"""What an error of a store says, fit to be printed: on one line, and without a secret."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from workbench.stage.errors import UserError, printable
from workbench.tracking.uri import tracking_uri

SECRET = (  # neither an author, what passes, a tokenizer, nor a number of tokens
    r"(?:pass(?![a-z])|passw|passphrase|passcode|passkey|pwd"  # noqa: S105
    r"|(?<!\bn_)(?<!\bnum_)(?<!\bmax_)(?<!\bmin_)token(?!i[sz])|secret|credential|signature|\bsig|\bsas|auth(?!or(?!i[sz]))"
    r"|api_?key|_key$|_pat$|connection_string)"
)
SHORTEST = 4  # characters of a secret; less would take words apart
IN_PATH = re.compile(r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[\w.~-]{16,}")  # of a server's address: as tokens look, not names
# Wherever a URI stands: who logs in, with or without a scheme; a named value, as in a query, a header, or JSON.
USER = (re.compile(r"(\w://)[^/\s]+@"), re.compile(r"((?:^|[\s'\"(=,]))[\w.%+~-]*:(?!//)[^\s@]+@(?=[\w\[])"))
NAMED = re.compile(
    rf"(?i)((?<![a-z0-9])[\w-]*{SECRET.replace('$', '')}[\w-]*['\"]?\s*[=:]\s*)"
    r"(?:(?P<quote>['\"])(?:\\.|(?!(?P=quote))[^\\\n])*|[^&\s'\",;]+)"  # in quotes all of it, else a word
)
KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL)
SHAPED = re.compile(r"\b(?:gh[opsru]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|AKIA[0-9A-Z]{16}|xox[abp]-[\w-]{10,})")
HEADER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{4,}")


def reason(error: BaseException) -> str:
    """Return what an error says in one printable line without secrets; a mistake of a user's speaks for itself."""
    ours = isinstance(error, UserError)
    text, most = without_secrets(str(error) if ours else f"{type(error).__name__}: {error}"), 600 if ours else 200
    line = printable(text.partition("\n")[0])
    if "database is locked" in line:
        line = "the database is locked by another process"
    return line if len(line) <= most else f"{line[: most - 1]}…"


def without_secrets(text: str) -> str:
    """Return the text without the secrets that the environment holds or that stand in a URI."""
    for secret in sorted(_known(), key=len, reverse=True):  # one may be a part of another
        if len(secret) >= SHORTEST:
            text = text.replace(secret, "***")
    for user in USER:
        text = user.sub(r"\1***@", text)
    text = SHAPED.sub("***", KEY.sub(r"\1***", HEADER.sub(r"\1 ***", text)))
    return NAMED.sub(lambda found: f"{found[1]}{found['quote'] or ''}***", text)


def _known() -> set[str]:
    """Return the secrets of the environment and of the tracking URI, in each way of writing them."""
    secrets = {*_of_environment(), *_of_uri(os.environ.get("MLFLOW_TRACKING_URI", "")), *_of_uri(tracking_uri())}
    ways = (str, quote, quote_plus, lambda secret: quote(secret, safe=""), lambda secret: repr(secret)[1:-1])
    return {way(secret) for secret in secrets | set(map(unquote, secrets)) for way in ways}


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if re.search(SECRET, name, re.IGNORECASE) and not _is_file(value):
            yield value


def _of_uri(uri: str) -> Iterator[str]:
    scheme, _, rest = uri.rpartition("://")
    rest = rest if scheme else rest.removeprefix("//")
    if rest.startswith("/"):  # a file
        return
    user, _, place = rest.rpartition("@")
    yield user
    yield user.partition(":")[2]
    address, _, options = place.partition("?")
    yield from (value for name, value in parse_qsl(options) if re.search(SECRET, name, re.IGNORECASE))
    if scheme:
        yield from (part for part in address.split("/")[1:] if IN_PATH.fullmatch(part))


def _is_file(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):
        return False
