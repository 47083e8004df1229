"""What lies in the storage beside a backup or a restore, read through its cluster."""
