"""What runs the members of an ensemble: this machine, SLURM, Parsl."""
