"""What the ranks of a job do with one another: MPI, layouts of members and columns, memory of a computer."""
