"""Three small forecast models, each a module with `Options` and `create`: one that relaxes, one that needs two states,
one with noise that it remembers."""
