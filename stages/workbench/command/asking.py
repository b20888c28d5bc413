"""Questions to MLflow that a command cannot do without."""

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.project import Project
from workbench.stage.errors import TrackingError, UserError
from workbench.tracking.secrets import reason


@contextmanager
def asking(project: Project) -> Iterator[None]:
    """Tell in one line, without secrets, whatever MLflow does not answer."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise TrackingError(
            f"MLflow did not answer, or stopped answering ({reason(error)}); start its server, or set "
            f"MLFLOW_TRACKING_URI to one that answers; `{project.name} doctor` looks at the store"
        ) from None
