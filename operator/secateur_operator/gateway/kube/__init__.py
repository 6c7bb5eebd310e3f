"""The gateway over the Kubernetes API."""
