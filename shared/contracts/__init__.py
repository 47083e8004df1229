"""What goes over the wire. pydantic and the standard library only; no I/O."""
