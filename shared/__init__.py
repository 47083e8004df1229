"""What more than one service needs for the same reason: contracts, messaging, the skeleton of a process."""
