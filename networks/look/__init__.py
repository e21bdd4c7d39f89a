"""What latents are worth: what they lose, what still goes together in them, and what one observation does in them."""
