"""What Velero leaves in the storage, read piece by piece and looked into once."""
