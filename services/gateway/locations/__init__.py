"""`/storage-locations` and `/snapshot-locations`, of the fleet and of a cluster: written with sealed credentials, removed."""
