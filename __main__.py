"""Entry point of the Pulumi program, which is in ``infra.stack``."""

from infra.stack import main

main()
