"""The compiled local solver: sixteen neighbouring columns in lock-step."""
