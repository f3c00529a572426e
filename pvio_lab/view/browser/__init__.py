"""The frame browser: a widget, the pictures it shows, playing, and exports."""
