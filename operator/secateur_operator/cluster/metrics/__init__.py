"""The operator's metrics: names and labels are a contract with dashboards and alerts."""
