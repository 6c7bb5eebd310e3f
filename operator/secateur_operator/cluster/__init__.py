"""The operator on a cluster: settings, leadership, watches, probes, logs, metrics, and what starts them."""
