"""The services: gateway, executor, status. None of them imports another."""
