"""What the chart and the kustomize base hold that is made from other files."""
