"""What a cluster is asked for with backups: making one, deleting one, a slot of a schedule."""
