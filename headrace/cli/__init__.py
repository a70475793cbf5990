"""The command line: a thin client of the HTTP API, plus serve, demo, engines and doctor."""
