"""The Pulumi program: which containers run, and what Grafana holds.

Where a name or an address is found:

* ``topology``: container names, aliases, ports, paths and volumes, the same for all settings.
* ``urls``: every URL of a stack with given settings.
* ``docker_endpoint``: which Docker Engine the stack uses.
* ``docker_host``: how a container reaches the machine that it runs on.
* ``egress``: how builds and containers reach the internet.
* ``settings.reachability``: which URLs in the settings lead nowhere.
* ``surroundings``: which settings don't fit the machine that runs the program.
"""
