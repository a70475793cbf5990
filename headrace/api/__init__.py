"""The HTTP API. DLI's words live here and nowhere else."""
