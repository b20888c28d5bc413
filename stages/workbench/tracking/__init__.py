"""MLflow as a view of the files: whatever is shown there can be rebuilt from data/.

One run an experiment. `train` starts it; `evaluate` and `plot` find it again by the experiment key in the model's
metadata. A result never depends on MLflow: when it cannot be reached, one warning says so and the stage goes on.
"""

import logging
import os

# Set before mlflow is imported; whoever sets them in the environment keeps their own value.
for _name, _value in {
    "MLFLOW_CONFIGURE_LOGGING": "false",  # else a screenful of migrations on a new store
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MLflow's own defaults wait four minutes for a server that is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the URL may have a password in it
}.items():
    os.environ.setdefault(_name, _value)
# A store that fails is told in one line of ours; without a handler of their own these would print tracebacks as well.
for _name in ("mlflow", "sqlalchemy"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

from workbench.tracking.run import Run, continue_run, start_run  # noqa: E402
from attention.views.stages import show_evaluation, show_pictures, show_training  # noqa: E402

__all__ = ["Run", "continue_run", "show_evaluation", "show_pictures", "show_training", "start_run"]
