"""The frame browser: a widget, and the threads that keep its picture up to date."""
