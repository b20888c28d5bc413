"""MLflow as a view of the files: whatever is shown there can be rebuilt from data/.

One run an experiment. A first stage starts it; those after it find it again by the experiment key. A result never
depends on MLflow: when it cannot be reached, one warning says so and the stage goes on.
"""

import logging
import os
import sys

from workbench.stage.errors import show_name

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
if os.environ["MLFLOW_CONFIGURE_LOGGING"].lower() not in ("true", "false", "1", "0"):  # it could not be imported
    print(
        f"warning: MLFLOW_CONFIGURE_LOGGING: got {show_name(os.environ['MLFLOW_CONFIGURE_LOGGING'])}, "
        "allowed: true or false; taken for false",
        file=sys.stderr,
    )
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"
# A store that fails is told in one line of ours; without a handler of their own these would print tracebacks as well.
for _name in ("mlflow", "sqlalchemy"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
