"""The cut-off as an xtrigger of Cylc: obsproc itself tells whether the observations of a time can be made now.

Runs in Cylc's own environment, which need not have anything of this project.
"""

import subprocess


def observations_ready(python: str, experiment: str, point: str) -> tuple[bool, dict]:
    """Whether the files of `point` (CCYYMMDDThhZ) are whole, or waited for no longer, by [realtime] of the experiment.

    Where that cannot be told the answer is yes: the stage will fail and say why.
    """
    command = [python, "-m", "obsproc", "ready", experiment, point[:8] + point[9:11]]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() != "no", {}
