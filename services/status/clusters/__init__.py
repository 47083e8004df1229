"""What people see of clusters and of their storage locations, and whose a backup is."""
