"""What doctor found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, what was seen, and what mends it."""

    what: str
    well: bool
    finding: str
    mend: str = ""
