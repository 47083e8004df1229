"""The memory in MongoDB: the only rooms that know how it lies there."""
