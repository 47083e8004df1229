"""The skeleton of a process: settings, logging, health, metrics, clock and `run()`."""
