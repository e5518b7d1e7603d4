"""What the course shows: every picture, table and number of docs/course, made by running the kernels."""
