"""The whole system on one machine, as processes that one command starts, watches and stops. Start reading at `installation`."""
