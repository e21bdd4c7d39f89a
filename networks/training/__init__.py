"""Training: shards -> samples -> a task's loss -> weights with their card."""
