"""The hands in a cluster: consumes commands, creates Velero resources, watches them, publishes what it sees."""
