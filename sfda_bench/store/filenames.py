"""Names of the files a stage leaves in its folder."""

FINAL_NAME = 'final.pth'
RESUME_NAME = 'resume.pth'
COUNTS_NAME = 'counts.npz'
ARTIFACTS = 'artifacts'
PREDICTIONS = 'predictions'
PROGRESS_NAME = 'progress.json'
WARNINGS_NAME = 'warnings.json'
#: The number of the SLURM job that a stage was last submitted as.
JOB_FILE = 'slurm_job.txt'
