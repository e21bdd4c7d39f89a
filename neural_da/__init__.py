"""Analyses of the whole state at once, with networks or fitted functions: one program, one file a method."""

from contracts import one_thread

one_thread.for_sums()
