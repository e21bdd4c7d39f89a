"""Sets of model states that do not belong to the ensemble: static perturbations and additive inflation."""
