"""What a user of a real cluster meets, from kubectl apply to the end: real pods, real Paddle."""
