"""How fast reading is, where the time goes, and what is installed to do it."""
