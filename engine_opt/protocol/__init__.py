"""What is decided. Pure; scalar and streaming; nothing but the standard library."""
