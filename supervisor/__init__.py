"""What looks after the accounts while nobody watches: alerts to the operator."""
