"""The stack's settings: what each one is, how they are read, and what can be wrong with them.

Imports point down this list:

* ``page`` writes ``docs/settings.md`` from ``Pulumi.yaml`` (``make render``).
* ``reading`` turns ``pulumi.Config`` into checked ``Settings``, or raises one error for all faults.
* ``checks`` and ``reachability`` find what is wrong with a set of settings.
* ``proxy_variables`` has what the settings say to the proxy, and what it would refuse.
* ``schema`` has the ``Settings`` themselves: names, types and defaults.
* ``grammar`` knows what a value must look like for the program that will read it.
* ``types`` has the types that a setting can have beyond text, numbers and switches.
"""
