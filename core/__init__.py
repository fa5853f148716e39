"""The bottom: values, errors, metrics, time and tasks that every other package may use."""
