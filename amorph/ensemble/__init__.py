"""Many runs of one study: varied, each member with a seed of its own."""
