"""Gemini's wire format, as far as it is read or written, in camelCase. Fields that are not listed are
ignored."""

from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from routes.inline import Inline


class InlineData(Struct, rename="camel"):
    data: str
    mime_type: str = ""
    display_name: str | None = None


class FileData(Struct, rename="camel"):
    file_uri: str = ""


class FunctionCallPart(Struct):
    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class FunctionResultPart(Struct, rename="camel"):
    """A picture or file that a function gave back besides its JSON."""

    inline_data: InlineData | None = None
    file_data: FileData | None = None


class FunctionResponsePart(Struct):
    name: str
    response: dict[str, Any] | None = None
    id: str | None = None
    parts: list[FunctionResultPart] | None = None


class Part(Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    inline_data: InlineData | None = None
    function_call: FunctionCallPart | None = None
    function_response: FunctionResponsePart | None = None
    file_data: FileData | None = None
    executable_code: dict[str, Any] | None = None
    code_execution_result: dict[str, Any] | None = None


class Content(Struct):
    """As everywhere in Google's JSON, one item may stand for a list of one."""

    parts: list[Part] | Part | None = None
    role: str | None = None


class ThinkingConfig(Struct, rename="camel"):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class ImageOutputOptions(Struct, rename="camel"):
    mime_type: str | None = None
    compression_quality: int | None = None


class ImageConfig(Struct, rename="camel"):
    aspect_ratio: str | None = None
    image_size: str | None = None
    image_output_options: ImageOutputOptions | None = None


class GenerationConfig(Struct, rename="camel"):
    candidate_count: int | None = None
    image_config: ImageConfig | None = None
    response_mime_type: str | None = None
    response_modalities: list[str] | str | None = None
    response_schema: Any = None
    response_json_schema: Any = None
    thinking_config: ThinkingConfig | None = None


class FunctionDeclaration(Struct, rename="camel"):
    """`parameters` is Google's subset of OpenAPI, `parameters_json_schema` JSON Schema; at most one of them."""

    name: str
    description: str | None = None
    parameters: Any = None
    parameters_json_schema: Any = None


class Tool(Struct, rename="camel"):
    """Of Google's own tools those are named that cannot be left out without a word (see `routes.gemini.tools`)."""

    function_declarations: list[FunctionDeclaration] | FunctionDeclaration | None = None
    computer_use: Any = None
    file_search: Any = None
    mcp_servers: Any = None
    retrieval: Any = None


class FunctionCallingConfig(Struct, rename="camel"):
    mode: str | None = None
    allowed_function_names: list[str] | str | None = None


class ToolConfig(Struct, rename="camel"):
    function_calling_config: FunctionCallingConfig | None = None


class GenerateRequest(Struct, rename="camel"):
    """The body of `:generateContent` and `:streamGenerateContent`. Sampling fields are not read. `conversation` is ours:
    `sticky` goes on in one chat of one account, `temporary` leaves nothing there."""

    contents: list[Content] | Content | None = None
    system_instruction: Content | str | None = None
    generation_config: GenerationConfig | None = None
    tools: list[Tool] | Tool | None = None
    tool_config: ToolConfig | None = None
    conversation: str | None = None
    cached_content: str | None = None
    previous_interaction_id: str | None = None


class CountRequest(Struct, rename="camel"):
    """The body of `:countTokens`."""

    contents: list[Content] | Content | None = None
    system_instruction: Content | str | None = None
    tools: list[Tool] | Tool | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    generate_content_request: GenerateRequest | None = None


class GivenPicture(Struct, rename="camel"):
    """A picture in one of the forms that Google's services write it in."""

    data: str | None = None
    bytes_base64_encoded: str | None = None
    inline_data: InlineData | None = None
    file_data: FileData | None = None


GivenPictures: TypeAlias = str | GivenPicture | list[str | GivenPicture]


class EditRequest(Struct, rename="camel"):
    """The short form of `:editImage`'s body; the other is `GenerateRequest`."""

    prompt: str
    image: GivenPictures | None = None
    images: GivenPictures | None = None
    mask: str | GivenPicture | None = None
    aspect_ratio: str | None = None
    image_size: str | None = None
    candidate_count: int | None = None


class Instance(Struct):
    prompt: str
    image: GivenPicture | None = None


class PredictParameters(Struct, rename="camel"):
    sample_count: int | None = None
    aspect_ratio: str | None = None
    image_size: str | None = None
    sample_image_size: str | None = None
    output_options: ImageOutputOptions | None = None


class PredictRequest(Struct):
    """The body of `:predict`, as Google's SDKs send it for pictures."""

    instances: list[Instance]
    parameters: PredictParameters | None = None


class Prediction(Struct, rename="camel"):
    mime_type: str
    bytes_base64_encoded: Inline


class PredictResponse(Struct):
    predictions: list[Prediction]


class InlineDataOut(Struct, rename="camel"):
    mime_type: str
    data: Inline


class PartOut(Struct, rename="camel"):
    text: str | UnsetType = UNSET
    thought: bool | UnsetType = UNSET
    inline_data: InlineDataOut | UnsetType = UNSET
    function_call: FunctionCallPart | UnsetType = UNSET


class ContentOut(Struct):
    parts: list[PartOut]
    role: str = "model"


class Candidate(Struct, rename="camel"):
    content: ContentOut
    index: int
    finish_reason: str | UnsetType = UNSET


class UsageMetadata(Struct, rename="camel"):
    prompt_token_count: int
    candidates_token_count: int
    total_token_count: int
    thoughts_token_count: int | UnsetType = UNSET


class GenerateResponse(Struct, rename="camel"):
    candidates: list[Candidate]
    model_version: str
    response_id: str
    usage_metadata: UsageMetadata | UnsetType = UNSET


class CountResponse(Struct, rename="camel"):
    total_tokens: int


class ModelOut(Struct, rename="camel"):
    name: str
    base_model_id: str
    version: str
    display_name: str
    description: str
    input_token_limit: int
    output_token_limit: int
    supported_generation_methods: list[str]


class ModelList(Struct):
    models: list[ModelOut]
