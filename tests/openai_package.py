"""Drives an OpenAI-compatible endpoint with the official Python package: `openai_package.py URL MODEL KIND`.

KIND is `decoder`, `embedder`, or for models that can be held to a schema `structured`, and `tools` where the chat template lists
tools too. Checks what holds for any model behind the endpoint; says OK at the end.
Exit status 77: the package is not installed. The key is read from OPENAI_API_KEY.
"""

import asyncio
import json
import math
import sys

try:
    import openai
except ImportError:
    sys.exit(77)

URL, MODEL, KIND = sys.argv[1:]
CLIENT = openai.OpenAI(base_url=URL, max_retries=0)
USER = [{"role": "user", "content": "one two three"}]


def refused(kind, code, call):
    """The call must raise exactly this kind of error with this code."""
    try:
        call()
    except openai.APIStatusError as error:
        assert type(error) is kind, (type(error), kind)
        assert error.code == code, (error.code, code)
        assert error.body["message"] and error.type
    else:
        raise AssertionError(f"{code} was expected")


def models():
    listed = CLIENT.models.list().data
    assert [model.id for model in listed] == [MODEL]
    assert CLIENT.models.retrieve(MODEL).id == MODEL
    refused(openai.NotFoundError, "model_not_found", lambda: CLIENT.models.retrieve("other"))


def chat():
    create = CLIENT.chat.completions.create
    settings = {"model": MODEL, "messages": USER, "temperature": 0, "max_tokens": 8}
    whole = create(**settings)
    choice = whole.choices[0]
    assert whole.object == "chat.completion" and choice.message.role == "assistant"
    assert choice.finish_reason in ("stop", "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    chunks = list(create(stream=True, stream_options={"include_usage": True}, **settings))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == choice.message.content, (text, choice.message.content)
    assert chunks[-2].choices[0].finish_reason == choice.finish_reason
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage

    with CLIENT.chat.completions.stream(**settings) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == text

    with create(stream=True, **settings) as stream:
        next(iter(stream))  # and leaves

    likely = create(logprobs=True, top_logprobs=2, **settings).choices[0].logprobs.content
    assert likely and all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in likely)

    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    several = [{"role": "user", "content": parts}, choice.message, {"role": "user", "content": "again"}]
    create(model=MODEL, messages=several, max_completion_tokens=2, stop=["\n"], seed=1)


async def chat_async():
    async with openai.AsyncOpenAI(base_url=URL, max_retries=0) as client:
        asks = [client.chat.completions.create(model=MODEL, messages=USER, max_tokens=4) for _ in range(8)]
        assert len(await asyncio.gather(*asks)) == 8
        stream = await client.chat.completions.create(model=MODEL, messages=USER, max_tokens=4, stream=True)
        assert [chunk async for chunk in stream]


def completions():
    create = CLIENT.completions.create
    settings = {"model": MODEL, "prompt": "one two three", "temperature": 0, "max_tokens": 4}
    whole = create(**settings)
    assert whole.object == "text_completion" and whole.usage.completion_tokens <= 4
    chunks = list(create(stream=True, **settings))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    likely = create(logprobs=1, **settings).choices[0].logprobs
    assert len(likely.tokens) == len(likely.token_logprobs) == len(likely.text_offset)


def errors():
    create = CLIENT.chat.completions.create
    bad = openai.BadRequestError
    refused(openai.NotFoundError, "model_not_found", lambda: create(model="other", messages=USER))
    refused(bad, "invalid_value", lambda: create(model=MODEL, messages=[]))
    refused(bad, "invalid_value", lambda: create(model=MODEL, messages=USER, n=2))
    refused(bad, "invalid_value", lambda: create(model=MODEL, messages=USER, temperature=3))
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    if KIND == "structured":
        refused(bad, "tools_not_supported", lambda: create(model=MODEL, messages=USER, tools=tools))
    refused(bad, "invalid_value", lambda: create(model=MODEL, messages=USER, tools=[]))
    refused(bad, "invalid_value", lambda: create(model=MODEL, messages=USER, response_format={"type": "xml"}))
    refused(bad, "unknown_parameter", lambda: create(model=MODEL, messages=USER, extra_body={"nonsense": 1}))
    refused(bad, "wrong_model_kind", lambda: CLIENT.embeddings.create(model=MODEL, input="one"))


VISIT = {
    "type": "object",
    "properties": {"town": {"enum": ["Paris", "Rome"]}, "open": {"type": "boolean"}},
    "required": ["town", "open"],
    "additionalProperties": False,
}


def visits(text):
    value = json.loads(text)
    assert set(value) == {"town", "open"} and value["town"] in ("Paris", "Rome"), value
    assert isinstance(value["open"], bool), value


def structured():
    create = CLIENT.chat.completions.create
    settings = {"model": MODEL, "messages": USER, "temperature": 0, "max_tokens": 100}
    form = {"type": "json_schema", "json_schema": {"name": "visit", "strict": True, "schema": VISIT}}
    whole = create(response_format=form, **settings)
    assert whole.choices[0].finish_reason == "stop"
    visits(whole.choices[0].message.content)
    chunks = list(create(response_format=form, stream=True, **settings))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    for seed in range(3):  # whatever is drawn
        drawn = create(**settings | {"temperature": 2, "seed": seed}, response_format=form)
        if drawn.choices[0].finish_reason == "stop":
            visits(drawn.choices[0].message.content)
    anything = create(response_format={"type": "json_object"}, **settings).choices[0]
    if anything.finish_reason == "stop":
        assert isinstance(json.loads(anything.message.content), dict)

    import pydantic

    class Visit(pydantic.BaseModel):
        town: str = pydantic.Field(max_length=5)
        rating: int = pydantic.Field(ge=1, le=5)

    parsed = CLIENT.chat.completions.parse(response_format=Visit, **settings)
    assert isinstance(parsed.choices[0].message.parsed, Visit), parsed

    bad = openai.BadRequestError

    def of(schema):
        named = {"name": "n", "schema": schema}
        return lambda: create(response_format={"type": "json_schema", "json_schema": named}, **settings)

    refused(bad, "invalid_schema", of({"not": {}}))
    refused(bad, "invalid_schema", of({"$ref": "https://example.com/schema"}))
    refused(bad, "schema_too_complex", of({"type": "string", "maxLength": 10**9}))
    bomb = {"type": "string"}
    for _ in range(60):
        bomb = {"anyOf": [bomb, {"type": "null"}]}
    refused(bad, "schema_too_complex", of(bomb))


def tools():
    create = CLIENT.chat.completions.create
    settings = {"model": MODEL, "messages": USER, "temperature": 0, "max_tokens": 120}
    offered = [{"type": "function", "function": {"name": "visit", "strict": True, "parameters": VISIT}}]
    named = {"type": "function", "function": {"name": "visit"}}
    for choice in ("required", named):
        more = {"tools": offered, "tool_choice": choice, "parallel_tool_calls": False}
        told = create(**more, **settings).choices[0]
        assert told.finish_reason == "tool_calls" and told.message.content is None
        (call,) = told.message.tool_calls
        assert call.type == "function" and call.function.name == "visit" and call.id
        visits(call.function.arguments)
        arguments, names = "", []
        for chunk in create(stream=True, **more, **settings):
            for piece in chunk.choices[0].delta.tool_calls or []:
                assert piece.index == 0
                names += [piece.function.name] if piece.function.name else []
                arguments += piece.function.arguments or ""
        assert (names, arguments) == (["visit"], call.function.arguments)
        assert chunk.choices[0].finish_reason == "tool_calls"
        with CLIENT.chat.completions.stream(**more, **settings) as stream:
            final = stream.get_final_completion().choices[0].message.tool_calls[0]
        assert final.function.arguments == call.function.arguments
        # The conversation goes on with the result.
        result = {"role": "tool", "tool_call_id": call.id, "content": "closed"}
        after = create(tools=offered, tool_choice="none", **settings | {"messages": [*USER, told.message, result]})
        assert after.choices[0].message.tool_calls is None
    assert create(tools=offered, **settings).choices[0].finish_reason in ("stop", "length", "tool_calls")
    parsed = CLIENT.chat.completions.parse(tools=offered, tool_choice="required", **settings)
    assert parsed.choices[0].message.tool_calls[0].function.parsed_arguments["town"] in ("Paris", "Rome")


def embeddings():
    create = CLIENT.embeddings.create
    texts = ["one two", "three"]
    packed = create(model=MODEL, input=texts)  # the package asks for base64 by itself
    plain = create(model=MODEL, input=texts, encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data):
        assert len(one.embedding) == len(other.embedding)
        assert all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(one.embedding, other.embedding))
    assert packed.usage.prompt_tokens == packed.usage.total_tokens > 0
    single = create(model=MODEL, input=texts[0], encoding_format="float")
    assert single.data[0].embedding == plain.data[0].embedding
    bad = openai.BadRequestError
    refused(bad, "invalid_value", lambda: create(model=MODEL, input=[]))
    refused(bad, "invalid_value", lambda: create(model=MODEL, input=[1, 2, 3]))
    refused(bad, "invalid_value", lambda: create(model=MODEL, input="one", dimensions=1))
    chat_of = CLIENT.chat.completions.create
    refused(bad, "wrong_model_kind", lambda: chat_of(model=MODEL, messages=USER))


models()
if KIND == "embedder":
    embeddings()
else:
    chat()
    asyncio.run(chat_async())
    completions()
    errors()
    if KIND != "decoder":
        structured()
    if KIND == "tools":
        tools()
print("OK", openai.__version__)
