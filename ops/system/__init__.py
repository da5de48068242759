"""This machine: its terminal, processes, ports and signals, and the checkout's folders."""
