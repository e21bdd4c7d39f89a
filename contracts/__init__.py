"""The language of the files: every name, unit, grid and layout that two programs must agree on."""
