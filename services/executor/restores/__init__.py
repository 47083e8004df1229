"""What a cluster is asked for with restores: what one would meet, making one, also across clusters, and tidying up."""
