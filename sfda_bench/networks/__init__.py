"""What MMSegmentation lacks, and checkpoint conversion."""
