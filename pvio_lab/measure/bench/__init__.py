"""The claims of this project about speed and memory, and the benchmarks that measure them again."""
