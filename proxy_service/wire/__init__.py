"""What both APIs send: bodies as types without behaviour, errors, paths, and JSON itself."""

JsonObject = dict[str, object]
