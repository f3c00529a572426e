"""The same steps, for more videos than one machine can take."""
