"""Names of the files a stage leaves in its folder."""

FINAL_NAME = 'final.pth'
RESUME_NAME = 'resume.pth'
COUNTS_NAME = 'counts.npz'
ARTIFACTS = 'artifacts'
PREDICTIONS = 'predictions'
