"""The moving parts: they carry out what the domain decides and choose nothing."""
