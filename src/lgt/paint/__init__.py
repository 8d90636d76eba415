"""From a photo to a painting: sampler, controls, recipe, and what the file says of them."""
