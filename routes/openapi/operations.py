"""What the document says of one operation, beside what its wire structs say of themselves."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from routes.sse import EVENT_STREAM

EVENTS = EVENT_STREAM.decode().partition(";")[0]

Access: TypeAlias = Literal["open", "key", "admin"]
Method: TypeAlias = Literal["get", "post", "delete"]
Schema: TypeAlias = Mapping[str, Any]

READ_ERRORS = (400, 401, 403, 404, 405, 431, 500, 503)
WORK_ERRORS = (400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 431, 500, 502, 503, 504)


class Family(Struct, frozen=True):
    """Operations that share a folder of wire structs. prefix: of these in the document. dialect: whose errors are theirs,
    None where they have their own."""

    name: str
    prefix: str
    errors: type
    dialect: "Family | None" = None

    @property
    def speaks(self) -> "Family":
        return self.dialect or self


class Media(Struct, frozen=True):
    """One form of an answer's body. type: the wire struct, `schema` where there is none. event: the struct of a stream's
    events, or of an array's items."""

    name: str
    type: Any = None
    schema: Schema | None = None
    event: Any = None
    events: tuple[Any, ...] = ()
    """Structs of the events, where these are of several."""
    fault: Any = None
    """What ends a stream that fails, where it is no error of the family's."""
    last: str = ""
    """What a stream ends with that is no JSON."""
    family: Family | None = None
    """Whose struct it is, where it is not the operation's own family's."""


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path.

    route: the path as the router knows it. other: a family whose dialect is spoken here as well. bodies: structs, one of which a JSON body is; form: that of a form's text fields, beside
    its files. examples, form_examples: bodies that are accepted, by title. says: the JSON of a good answer, short for one `Media` in
    `media`. same: other good answers with such a body; empty: answers without a
    body that is JSON; unlike: errors of another shape than the family's. parameters, headers: names in the document's
    components. generates: an account is asked, so the answer tells how that went. good: there is an answer with a body but errors.
    """

    method: Method
    path: str
    route: str
    family: Family
    other: Family | None = None
    tag: str
    summary: str
    description: str = ""
    access: Access = "key"
    bodies: tuple[type, ...] = ()
    form: type | None = None
    examples: Mapping[str, Any] = {}
    form_examples: Mapping[str, Any] = {}
    says: Any = None
    media: tuple[Media, ...] = ()
    same: Mapping[int, str] = {}
    empty: Mapping[int, str] = {}
    unlike: Mapping[int, type] = {}
    parameters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    errors: tuple[int, ...] = READ_ERRORS
    generates: bool = False
    good: bool = True
