"""`/clusters`: registered, looked at, joined."""
