"""The Gaussian climate: mean and covariance of a nature run's states, fitted, kept in a file, sampled."""
