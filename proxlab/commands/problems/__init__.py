"""Problems of `proxlab restore`: options, readers of INPUT, the measurement that INPUT becomes.

`options` is imported to print help and has no slow imports.
"""
