//! File and environment to validated settings; every value remembers where it came from.
