"""What a person sees; holds no maths."""
