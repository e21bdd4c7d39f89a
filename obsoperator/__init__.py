"""H(x): what the model says where an observation was made."""

from obsoperator.operators import OPERATORS, ObservationOperator

__all__ = ["OPERATORS", "ObservationOperator"]
