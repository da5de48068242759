"""One example of everything that pydantic turns into a JSON Schema."""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from re import Pattern
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypeVar
from uuid import UUID

from pydantic import (
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ByteSize,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    HttpUrl,
    IPvAnyAddress,
    Json,
    NegativeInt,
    NonNegativeFloat,
    PositiveInt,
    RootModel,
    SecretStr,
    StrictBool,
    Tag,
    TypeAdapter,
    WithJsonSchema,
)
from typing_extensions import TypedDict  # before Python 3.12, pydantic needs this one

from proxy_service.wire import JsonObject


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Person(BaseModel):
    """A person, as in Ollama's own documents."""

    name: str
    age: int
    available: bool


class Defaults(BaseModel):
    name: str = "anonymous"
    nickname: str | None = None
    tags: list[str] = Field(default_factory=list, max_length=3, description="At most three")


class Nested(BaseModel):
    owner: Person
    deputy: Person | None
    members: Annotated[list[Person], Field(max_length=2)]


class Empty(BaseModel):
    pass


class Tree(BaseModel):
    value: int
    children: Annotated[list["Tree"], Field(max_length=2)] = []


class Linked(BaseModel):
    value: Literal[0, 1]
    next: "Linked | None"


class Author(BaseModel):
    name: Literal["Ada"]
    books: Annotated[list["Book"], Field(max_length=1)]


class Book(BaseModel):
    title: Literal["Notes"]
    author: "Author | None"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    other: Cat | Dog | None


Item = TypeVar("Item")


class Box(BaseModel, Generic[Item]):
    item: Item
    spare: Item | None = None


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class OpenToNumbers(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]
    a: int


class NamedLikeKeywords(BaseModel):
    """Its properties are called what JSON Schema's keywords are called."""

    ref: Annotated[bool, Field(alias="$ref")]
    negated: Annotated[bool, Field(alias="not")]
    format: Literal["uri"]
    enum: bool
    const: bool
    type: bool
    pattern: bool
    properties: "Person"
    additional: Annotated[bool, Field(alias="additionalProperties")]
    unique: Annotated[bool, Field(alias="uniqueItems")]
    default: Annotated[bool, Field(default=True, examples=[{"type": "object", "properties": {}}])]


class WithExamples(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "x", "properties": {"not": {}}}],
            "default": {"type": "object", "properties": {}},
        }
    )
    name: Annotated[str, Field(title="Its name", max_length=20, examples=[{"$ref": "#/nowhere"}])]


class WithUnits(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)
    height: Annotated[float, Field(gt=0, le=300)]
    """In centimetres."""
    weight: Annotated[float, Field(ge=0, lt=500, multiple_of=0.5)]
    """In kilograms."""
    share: Annotated[int, Field(gt=0, lt=100, multiple_of=5)]


class Numbers(BaseModel):
    positive: PositiveInt
    negative: NegativeInt
    size: ByteSize
    strict: StrictBool
    int64: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


class Floats(BaseModel):
    share: Annotated[float, Field(ge=0, le=1)]
    finite: FiniteFloat
    any: NonNegativeFloat


class Texts(BaseModel):
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{3}$")]
    word: Annotated[str, Field(pattern=r"^\w+$", min_length=2, max_length=8)]
    short: Annotated[str, Field(max_length=5)]
    slug: Annotated[str, Field(pattern=r"^[a-z]+(?:-[a-z]+)*$", max_length=12)]


class Times(BaseModel):
    day: date
    at: time
    when: datetime
    aware: AwareDatetime
    lasts: timedelta


class Addresses(BaseModel):
    v4: IPv4Address
    v6: IPv6Address
    either: IPvAnyAddress


class Identifiers(BaseModel):
    id: UUID
    optional: UUID | None


class Links(BaseModel):
    url: AnyUrl
    page: HttpUrl
    network: IPv4Network
    file: Path
    secret: SecretStr
    regex: Pattern[str]


class Bytes(BaseModel):
    plain: bytes
    base64: Base64Bytes
    parsed: Json[Any]


class Point(NamedTuple):
    x: int
    y: int


class Movie(TypedDict):
    title: Annotated[str, Field(max_length=10)]
    year: NotRequired[int]


@dataclass
class Rectangle:
    width: int
    height: int = 1


class Plain(RootModel[Annotated[list[int], Field(max_length=3)]]):
    pass


class Conditional(BaseModel):
    """What the model's author adds by hand and the engine's grammar lacks."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"a": {"const": 1}}},
            "then": {"required": ["b"]},
            "else": {"required": ["a"]},
            "dependentRequired": {"a": ["b"]},
            "dependentSchemas": {"a": {"properties": {"c": {"type": "integer"}}}},
            "unevaluatedProperties": False,
            "not": {"required": ["z"]},
        }
    )
    a: int = 0
    b: int = 0


def _kind(value: object) -> str:
    return "number" if isinstance(value, int) else "text"


_Short = Annotated[str, Field(max_length=8)]
_ByKind = Annotated[
    Annotated[int, Tag("number")] | Annotated[_Short, Tag("text")], Discriminator(_kind)
]

# By name, for the names of the tests.
TYPES: dict[str, Any] = {
    "person": Person,
    "defaults": Defaults,
    "nested": Nested,
    "empty": Empty,
    "tree": Tree,
    "linked list": Linked,
    "mutual recursion": Author,
    "discriminated union": Owner,
    "union by function": _ByKind,
    "generic": Box[Point],
    "generic of a model": Box[Person],
    "extra forbidden": Closed,
    "extra allowed": Open,
    "extra numbers": OpenToNumbers,
    "names like keywords": NamedLikeKeywords,
    "examples like schemas": WithExamples,
    "units": WithUnits,
    "numbers": Numbers,
    "floats": Floats,
    "texts": Texts,
    "times": Times,
    "addresses": Addresses,
    "identifiers": Identifiers,
    "links": Links,
    "bytes": Bytes,
    "conditional": Conditional,
    "root model": Plain,
    "dataclass": Rectangle,
    "typed dict": Movie,
    "named tuple": Point,
    "string": _Short,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": None,
    "any": Any,
    "enum": Colour,
    "enum of integers": Level,
    "literal": Literal["a", 1, True, None],  # noqa: PYI061  one `enum`
    "literal of one": Literal["only"],
    "union": int | _Short | None,
    "decimal": Decimal,
    "decimal with bounds": Annotated[Decimal, Field(ge=0, max_digits=5, decimal_places=2)],
    "fraction": Fraction,
    "complex": complex,
    "list": Annotated[list[int], Field(min_length=1, max_length=3)],
    "tuple": tuple[int, _Short],
    "tuple of any length": tuple[int, ...],
    "set": Annotated[set[int], Field(max_length=3)],
    "set of an enum": frozenset[Colour],
    "sequence": Sequence[bool],
    "iterable": Iterable[bool],
    "deque": deque[bool],
    "dictionary": dict[str, int],
    "dictionary of anything": dict[str, Any],
    "dictionary by literal": dict[Literal["a", "b"], int],
    "dictionary by enum": dict[Colour, int],
    "dictionary by integer": dict[int, bool],
    "dictionary by UUID": dict[UUID, bool],
    "dictionary by pattern": dict[Annotated[str, Field(pattern=r"^[a-z]{1,3}$")], bool],
    "dictionary by length": dict[Annotated[str, Field(max_length=3)], bool],
    "dictionary with bounds": Annotated[dict[str, bool], Field(min_length=1, max_length=2)],
    "mapping": Mapping[str, bool],
    "counter": Counter[str],
    "default dictionary": defaultdict[str, list[bool]],
    "ordered dictionary": OrderedDict[str, bool],
    "schema by hand": Annotated[
        object,
        WithJsonSchema(
            {
                "type": "object",
                "properties": {"a": {"type": "integer", "not": {"const": 1}}},
                "patternProperties": {"^x-": {"type": "boolean"}, "^y-": {"type": "null"}},
                "propertyNames": {"maxLength": 5},
                "minProperties": 1,
            }
        ),
    ],
}


def pydantic_schema(name: str) -> JsonObject:
    """Return the schema that pydantic generates for one of the types."""
    return TypeAdapter(TYPES[name]).json_schema()
