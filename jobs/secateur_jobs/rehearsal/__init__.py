"""Do once, in seconds, what the stages that follow do for hours: whatever fails there is said before."""
