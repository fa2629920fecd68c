"""Base against head: two trees, two processes in lock step, pair after pair."""
