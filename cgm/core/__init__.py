"""What every room uses: errors, whole files, random streams, progress."""
