"""`python -m tests.contracts.checked UNITS FILE…`: what the checker of the CF conventions says of files, and which
units UDUNITS does not know, as JSON.

In a process of its own: compiled libraries of others that nothing else here needs stay out of that of the tests.
"""

import json
import sys
import tempfile
from pathlib import Path

import netCDF4
from cf_units import Unit
from compliance_checker.runner import CheckSuite, ComplianceChecker


def faults(path: str) -> list[str]:
    """Messages of all priorities."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        ComplianceChecker.run_checker(path, ["cf:1.10"], 0, "strict", output_filename=str(told), output_format="json")
        found = json.loads(told.read_text())["cf:1.10"]
    return [message for priority in ("high", "medium", "low") for check in found[f"{priority}_priorities"]
            if check["value"][0] < check["value"][1] for message in check["msgs"]]


def units(path: str) -> list[str]:
    """Of all variables of a file."""
    with netCDF4.Dataset(path) as dataset:
        return [getattr(variable, "units", "1") for variable in dataset.variables.values()]


if __name__ == "__main__":
    named, *paths = sys.argv[1:]
    CheckSuite().load_all_available_checkers()
    every = {*json.loads(named), *(unit for path in paths for unit in units(path))}
    print(json.dumps({"faults": {Path(path).stem: faults(path) for path in paths},
                      "unknown": sorted(unit for unit in every if Unit(unit).is_unknown())}))
