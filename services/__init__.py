"""The services: gateway, scheduler, executor, status. None of them imports another."""
