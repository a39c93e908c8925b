//! A shell command line → facts: what it runs, reads, writes and removes, and what of it cannot be known. Pure.
