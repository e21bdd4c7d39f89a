"""H(x): what the model says where an observation was made."""

from obsoperator.forward import Forward
from obsoperator.operators import OPERATORS

__all__ = ["OPERATORS", "Forward"]
