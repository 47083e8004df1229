"""`/backups`: asked for, looked at, deleted."""
