"""The CRD on a real API server: what it takes, what it refuses and how it says so, what it shows."""
