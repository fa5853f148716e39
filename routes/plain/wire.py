"""Bodies of the short forms."""

from msgspec import UNSET, Struct, UnsetType

from routes.drawing import GivenPicture, GivenPictures, PictureRequest
from routes.inline import Inline


class GenerateRequest(Struct):
    prompt: str
    model: str | None = None


class GenerateResponse(Struct):
    """images: pictures that have no link in the text."""

    text: str
    model: str
    images: list[Inline] | UnsetType = UNSET


class PicturesRequest(PictureRequest):
    """The body of POST /v1/generate-images and POST /v1/images/edit."""

    count: int | None = None
    n: int | None = None
    response_type: str | None = None
    image: GivenPictures | None = None
    images: GivenPictures | None = None
    mask: GivenPicture | None = None


class PicturesResponse(Struct):
    """images: links or data URLs. sizes: as measured."""

    images: list[Inline]
    model: str
    sizes: list[str]


class ModelOut(Struct):
    id: str
    name: str
    description: str


class Categories(Struct):
    text: list[str]
    image: list[str]


class ModelList(Struct):
    """default, default_image: the models that are meant where none is named; for a key that is not for these the first
    of the category that it may ask, which it then has to name; null where it may ask none."""

    models: list[ModelOut]
    categories: Categories
    default: str | None
    default_image: str | None
