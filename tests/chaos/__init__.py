"""Chaos: real processes, random faults while backups are asked for, and invariants that must hold when it is over."""
