"""The memory in MongoDB: the only room that reads and writes there."""
