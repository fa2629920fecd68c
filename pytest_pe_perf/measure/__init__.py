"""The only rooms that touch a clock, an allocator or a child process."""
