"""A Kubernetes control plane of one's own, on the loopback: no root, no kubelet, gone at the end.

* ``plane``: starts etcd and kube-apiserver (and, if asked, the controllers and the scheduler).
* ``access``: which API server tests use: the one of ``KUBECONFIG``, else one of our own, else none and why.
* ``python -m tests.control_plane`` runs one until interrupted.
"""
