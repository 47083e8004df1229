"""What docker-compose.yml needs before its first start."""
