"""What a model's files say: headers, chat template, vocabulary. Nothing here loads a model."""
