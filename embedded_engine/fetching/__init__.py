"""How a model gets onto this machine: from the Python package index or from Hugging Face."""
