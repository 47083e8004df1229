"""How one Velero goes about things: its flags, the ticks that no flag changes, and how long its work takes."""

from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that differs between two Veleros. Times are seconds of Velero's own time."""

    speed: float = 1.0
    """How many seconds of Velero's time pass in one of ours. Timestamps in objects come from the cluster's clock."""
    seed: int = 0
    """Where its chances start, so that two runs are alike."""

    # What it is
    version: str = "v1.18.2"
    kubernetes: str = "v1.35.4"
    """The version that it finds in its cluster and writes into annotations of backups."""

    # Flags of the server
    default_location: str = "default"
    default_snapshot_locations: tuple[tuple[str, str], ...] = ()
    """(provider, VolumeSnapshotLocation) pairs for backups that name none."""
    default_ttl: str = "720h0m0s"
    default_item_operation_timeout: str = "4h0m0s"
    csi_snapshot_timeout: str = "10m0s"
    resource_timeout: str = "10m0s"
    default_volumes_to_fs_backup: bool = False
    default_snapshot_move_data: bool = False
    schedule_skip_immediately: bool = False
    concurrent_backups: int = 1
    sync_period: float = 60.0
    store_validation: float = 60.0
    gc_frequency: float = 3600.0
    operation_sync: float = 10.0

    # Ticks that no flag changes
    sync_tick: float = 60.0
    location_tick: float = 10.0
    queue_recheck: float = 60.0
    schedule_tick: float = 60.0
    finalizer_tick: float = 60.0
    download_tick: float = 60.0
    status_request_tick: float = 300.0
    deletion_tick: float = 3600.0
    agent_tick: float = 60.0

    # How long requests live, by the clock of the cluster: their readers are not sped up
    download_expiry: float = 600.0
    status_request_age: float = 60.0
    deletion_request_age: float = DAY

    # How long work takes
    step: float = 0.05
    """From noticing something to writing it down: what one reconcile takes at least."""
    collecting: float = 1.0
    """Starting the plugins and listing what a backup is to hold, or reading what a restore is to bring."""
    per_item: float = 0.0005
    uploading: float = 0.12
    deleting: float = 0.4
    """Removing snapshots and the files of a backup."""
    restore_removal: float = 60.0
    """How long a deletion waits for the restores of a backup to go."""
    moving: float = 4.0
    """Moving the data of one volume."""
    progress_period: float = 1.0
    """The least time between two writes of a progress."""

    # Where it fails by itself
    lost_wake_ups: float = 0.25
    """The share of finished backups after which the queue is not looked at, as in 1.18; 0 makes none, 1 makes all."""
    retry_first: float = 0.05
    retry_most: float = 30.0
    """How long a key waits after a failed reconcile: doubled each time up to the most."""
    graceful_stop: float = 30.0
    """How long a stop waits for work under way."""
