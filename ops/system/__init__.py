"""What the commands need of this machine: console, processes, ports, time."""
