"""The attacks, by what they are about; `tests.attacks.table` lists them all."""
