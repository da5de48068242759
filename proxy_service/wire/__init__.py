"""The bodies of both APIs as types without behaviour, and the JSON that they are read from."""

JsonObject = dict[str, object]
