"""The repository itself: documents, Makefile, workflows and the directions of imports."""
