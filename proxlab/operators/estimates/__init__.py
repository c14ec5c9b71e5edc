"""Numbers that are read off a measurement: its noise, a camera's gain, the width of its blur."""
