"""The top: settings, logs, the command line, and the wiring of all other packages into one server."""
