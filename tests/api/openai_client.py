"""Drives `anchorhold client proxy` with the official Python package: `openai_client.py URL MODEL KIND`.

KIND is `structured` (the demo's own model) or `embedder`. What holds for any endpoint is in tests/openai_package.py;
here is what the proxy adds, and that real weights answer. Says OK at the end.
"""

import math
import os
import sys
import threading

import httpx2 as httpx
import openai

URL, MODEL, KIND = sys.argv[1:]
CLIENT = openai.OpenAI(base_url=URL, max_retries=0)


def raised(kind, code, call):
    """The call must raise exactly this kind of error with this code."""
    try:
        call()
    except openai.APIStatusError as error:
        assert type(error) is kind, (type(error), kind)
        assert error.code == code, (error.code, code)
        return error
    raise AssertionError(f"{code} was expected")


def ask(question, **more):
    messages = [{"role": "user", "content": question}]
    return CLIENT.chat.completions.create(model=MODEL, messages=messages, temperature=0, **more)


def token():
    """The proxy serves whoever has its token, and no web page."""
    for key in ("wrong", os.environ["OPENAI_API_KEY"] + "x", os.environ["OPENAI_API_KEY"][:-1]):
        stranger = openai.OpenAI(base_url=URL, api_key=key, max_retries=0)
        raised(openai.AuthenticationError, "invalid_api_key", stranger.models.list)
    page = CLIENT.with_options(default_headers={"Origin": "https://example.com"})
    raised(openai.PermissionDeniedError, "origin_refused", page.models.list)
    rebound = CLIENT.with_options(default_headers={"Host": "example.com"})
    raised(openai.PermissionDeniedError, "host_refused", rebound.models.list)
    elsewhere = openai.OpenAI(base_url=URL.removesuffix("/v1"), max_retries=0)
    raised(openai.NotFoundError, "not_found", elsewhere.models.list)


def answers():
    assert ask("What is the capital of France?").choices[0].message.content == "The capital of France is Paris."
    raw = CLIENT.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "What is the capital of Italy?"}], temperature=0
    )
    assert raw.parse().choices[0].message.content == "The capital of Italy is Rome."
    assert raw.headers["anchorhold-receipt"]
    # Text beyond ASCII goes through whole, whatever the model makes of it.
    assert ask("Gr\u00fc\u00dfe \U0001f642 \u4f60\u597d").usage.prompt_tokens > 8


def stream():
    whole = ask("What is the capital of France?").choices[0].message.content
    text = ""
    for chunk in ask("What is the capital of France?", stream=True):
        text += chunk.choices[0].delta.content or ""
    assert text == whole, (text, whole)
    # Many at once, each on a bound connection of its own, none mixed up.
    expected = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Sweden": "Stockholm"}
    wrong = []

    def one(country, capital):
        pieces = ask(f"What is the capital of {country}?", stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in pieces)
        if capital not in text:
            wrong.append((country, text))

    threads = [threading.Thread(target=one, args=pair) for pair in expected.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong


def errors():
    error = raised(openai.BadRequestError, "context_length_exceeded", lambda: ask("word " * 2000))
    assert "512" in error.body["message"], error.body
    raised(openai.BadRequestError, "context_length_exceeded", lambda: ask("word " * 2000, stream=True))
    raised(openai.BadRequestError, "invalid_value", lambda: ask("x", stop=["a"] * 10_000))
    error = raised(openai.BadRequestError, "unsupported_parameter", lambda: ask("x", user="somebody"))
    assert error.param == "user"
    raised(openai.APIStatusError, "request_too_large", lambda: ask("x" * (3 << 20)))


def lines():
    """The stream as bytes: the receipt stands before the end mark, as a comment."""
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
    headers = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    answer = httpx.post(URL + "/chat/completions", json=body, headers=headers)
    events = answer.text.removesuffix("\n\n").split("\n\n")
    events = [event for event in events if event != ":"]  # fillers
    assert events[-1] == "data: [DONE]" and events[-2].startswith(": anchorhold-receipt "), events[-2:]


def embeddings():
    many = CLIENT.embeddings.create(model=MODEL, input=[f"text {number}" for number in range(20)])
    assert [item.index for item in many.data] == list(range(20))
    for item in many.data:
        assert math.isclose(sum(value * value for value in item.embedding), 1, abs_tol=1e-5)
    error = raised(openai.BadRequestError, "context_length_exceeded",
                   lambda: CLIENT.embeddings.create(model=MODEL, input="word " * 1000))
    assert error.param == "input"


token()
if KIND == "structured":
    answers()
    stream()
    errors()
    lines()
else:
    embeddings()
print("OK", openai.__version__)
