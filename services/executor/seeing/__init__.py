"""What is seen of a cluster, and said of it."""
