"""The bodies of the two APIs, typed: parsed at the edge, without behaviour of their own."""

JsonObject = dict[str, object]
