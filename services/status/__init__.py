"""The memory: folds events into MongoDB, computes what people see, announces changes."""
