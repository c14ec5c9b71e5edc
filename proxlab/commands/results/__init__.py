"""Results of `proxlab restore`: where they are written, and the trace of a run as JSON."""
