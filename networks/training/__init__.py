"""Training of ClimaX: sources of states -> shards -> samples -> loss -> weights with their card."""
