"""What the store knows of batches. One truth: every step is one script, so that counts, results and who runs what
never differ, whoever dies in between."""
