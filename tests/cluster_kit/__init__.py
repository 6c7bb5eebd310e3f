"""What tests on a real cluster share.

* ``cluster``: kubectl on the cluster that ``tests.control_plane.access`` allows.
* ``waiting``: wait for a condition, with the last thing seen in the failure.
* ``operator``: ``secateur operator`` as a real process, and what its log must not hold.
* ``site``: a namespace with a store, a keeper of the store, and an operator that serves it.
* ``witness``: every Job and pod that ever was in a namespace, from watches.
* ``documents``: small real PruningJobs, and user code that goes wrong on demand.
* ``parts``: the test cluster's own processes, for disruptive tests.
* ``prometheus``: a real Prometheus that scrapes an operator.
* ``s3``: an S3 server that pods reach.
"""
