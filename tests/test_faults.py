"""Faults: what the errors of different servers mean."""

import pytest

from burnish.synthesis.faults import fault


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"error": {"code": "rate_limit_exceeded"}}, "passing"),
        (429, {"error": {"code": "insufficient_quota"}}, "final"),
        (429, None, "passing"),
        (500, "<html>", "passing"),
        (529, {}, "passing"),
        (424, {"error": "Request failed during generation", "error_type": "generation"}, "passing"),
        (401, {"error": {"message": "json_schema"}}, "final"),
        (404, {}, "final"),
        (402, {"error": {"message": "Insufficient credits", "code": 402}}, "final"),
        (400, {"error": {"message": "Invalid parameter: 'response_format' of type 'json_schema' is not supported"}}, "output"),
        (422, "Failed to deserialize the JSON body: response_format: unknown variant `json_schema`", "output"),
        (400, {"object": "error", "message": "Grammar error: cannot compile", "code": 400}, "output"),
        (400, {"message": "'max_tokens' is not supported with this model", "code": "unsupported_parameter"}, "limit"),
        (422, {"detail": [{"loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]}, "limit"),
        (400, {"message": "'max_tokens' is too large: 400. This model has 128 tokens.", "code": 400}, "question"),
        (400, {"message": "Only the default (1) value is supported", "param": "temperature"}, "final"),
        (400, {"error": {"code": "context_length_exceeded", "param": "messages"}}, "question"),
        (400, {"error": {"code": "content_filter"}}, "refused"),
        (400, {"error": {"message": '"gemma3" does not support thinking'}}, "final"),
        (422, {"detail": [{"loc": ["body", "reasoning_effort"], "msg": "Extra inputs are not permitted"}]}, "final"),
        (413, b"too large", "question"),
        (400, [], "question"),
        (400, {"error": {"message": None, "code": 3, "param": ["x"]}}, "question"),
    ],
)
def test_what_an_error_means(status: int, body: object, kind: str) -> None:
    """The kinds of error of OpenAI, vLLM, TGI, llama.cpp and the proxies before them."""
    assert fault(status, body).kind == kind


def test_only_plain_words_are_told() -> None:
    """The service's code is told where it is one word; a message never is, since it may repeat the key."""
    assert fault(400, {"error": {"code": "bad_thing", "message": "sk-secret"}}).words == "HTTP 400, bad_thing"
    assert fault(400, {"error": {"code": "key sk-secret\n", "message": "sk-secret"}}).words == "HTTP 400"
    assert fault(400, {"error": {"code": 400}}).words == "HTTP 400"
