"""What the scenarios do not say, so that nobody relies on it: what is untested, and where the simulator differs on purpose."""

NOT_COVERED = {
    "Most ways of volumes": "CSI snapshots, file system backups, data movement: they need drivers and a kubelet",
    "Other versions of Velero": "the real stage builds v1.18.3 and no other; what differs in 1.12 to 1.17 is read, not seen",
    "Other versions of Kubernetes": "the real stage builds v1.35.4",
    "Rights": "401 and 403 are tested on each side by itself, as the simulator knows no RBAC objects but users with rules",
    "Keys that may only read": "the real stage's storage checks who asks, not what for",
    "Storage of other providers": "Azure and GCP: neither stage has their plugins",
    "Watches of metadata alone": "on both stages only lists and single objects were asked for",
    "Expired URLs": "a signed URL is good for ten minutes, which the real stage is not given",
    "Lost wake-ups of the queue": "both stages run ten Backups at once; with one, the real queue loses wake-ups by chance",
    "Clean-up of requests": "a day for a failed DeleteBackupRequest, ten minutes for a download, five for a probe",
    "Load": "thousands of objects, large Backups, progress of long ones",
    "Several Veleros on one bucket for writing": "only the case that its name is taken already",
    "Hooks that run": "no Pod runs on the real stage, so that hooks can only fail",
    "Server-side apply, JSON patch, strategic merge patch": "no client of ours uses them",
}
"""Why it is left out, by subject."""

DIFFERENCES = {
    "Contents of a namespace": (
        "no controllers run: no default ServiceAccount, no kube-root-ca.crt, no Pods of a Deployment; so a Backup counts fewer "
        "items, and a Restore into a new namespace has no warning, where on a real cluster it has one"
    ),
    "Claims": "no controller binds them, and the simulated Velero does not ask whether they are bound",
    "Collection of garbage": "an ownerReference is stored and nothing else: no dependants are deleted",
    "managedFields": "not kept",
    "Logs": "a few lines of text that tell the story; a real log has hundreds",
    "Work that is held": "on the real stage by freezing the storage, on the simulated one by a fault that keeps the phase",
    "A Restore or Backup that is deleted within a second of its completion": (
        "the real finalizer looks at it twice, finds it gone, and tries for minutes to write to it, while others stay "
        "Finalizing; the simulated one does not"
    ),
    "Resource policies": (
        "fields, versions, actions, conditions and include-exclude lists are judged as Velero does; values of a wrong type are "
        "not, nor what stands inside of filters for namespaces and for cluster-scoped kinds"
    ),
    "Many uses of one Secret at once": (
        "Velero writes the credential file of a location that names a Secret anew for each use, and whoever reads it in that "
        "instant fails; the real stage's default locations name none, the simulator does not know it"
    ),
    "Storage that asks for keys": (
        "on the real stage a door in front of the storage checks every signature, on the simulated one the storage knows who "
        "asks; TLS is spoken on the real stage only, the simulated one compares the certificates"
    ),
    "Node ports": "nobody assigns them; that one was asked for is known by the last applied configuration only",
    "Patterns of resource modifiers": "Python's, whose complaints about a pattern that is none have other words than Go's",
    "Time": "the simulated stage runs 20 times as fast, its clocks, too",
}
"""How the simulator differs, by subject."""
