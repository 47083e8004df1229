"""JetStream: connection, topology, permissions, publisher, consumer, lease, feed. The only place that imports `nats`."""
