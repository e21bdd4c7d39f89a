"""Small forecast models, each a module with `Options` and `create`: one that relaxes, two that need two states, one
with noise that it remembers."""
