"""What this computer has, asked in one place: memory, processors, compiled kernels, wide vectors."""
