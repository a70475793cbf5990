"""obs:// objects and DLI packages on a local folder."""
