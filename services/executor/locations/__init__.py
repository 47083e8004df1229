"""What a cluster is asked for with locations and their credentials."""
