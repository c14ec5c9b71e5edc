"""Gray priors on colour images: which channels they are handed."""
