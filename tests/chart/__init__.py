"""The Helm chart and the kustomize base: what they render, what a cluster says to it, which rights."""
