"""The keywords of JSON Schema, by what they are about."""

ANNOTATIONS = frozenset({"title", "description", "default", "examples", "type", "$defs"})
IN_PLACE = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
VALUES = frozenset({"const", "enum"})
NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
TEXTS = frozenset({"pattern", "format", "minLength", "maxLength"})
ARRAYS = frozenset(
    {"items", "prefixItems", "unevaluatedItems", "minItems", "maxItems", "uniqueItems"}
)
MEMBERS = frozenset(
    {"properties", "patternProperties", "additionalProperties", "propertyNames"}
    | {"unevaluatedProperties"}
)
OBJECTS = MEMBERS | {"required", "minProperties", "maxProperties"}
# What the grammar lacks.
MISSING = frozenset(
    {"not", "if", "contains", "dependencies", "dependentRequired", "dependentSchemas"}
    | {"$dynamicRef", "$recursiveRef"}
)

# Those whose value is a schema or a list of schemas, and those whose value maps names to schemas.
SCHEMAS = IN_PLACE - {"$ref"} | {
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
}
SCHEMA_MAPS = frozenset({"properties", "patternProperties"})

# The keywords that occur only in schemas of one type.
KINDS = {
    "object": MEMBERS,
    "array": frozenset({"items", "prefixItems"}),
    "string": frozenset({"pattern", "minLength", "maxLength"}),
    "number": NUMBERS,
}
