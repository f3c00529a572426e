"""What this project claims about its speed and memory, and the benchmarks that measure it again."""
