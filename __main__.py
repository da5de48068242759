"""Entry point of the Pulumi program; see ``infra.stack``."""

from infra.stack import main

main()
