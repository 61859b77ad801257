"""From logits to text: sampling, the decode loop and beam search."""
