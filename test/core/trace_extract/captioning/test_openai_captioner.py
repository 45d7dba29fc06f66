# SPDX-License-Identifier: Apache-2.0
"""A real server on this machine: what it is sent, how its failures end, and who sees the key."""

import base64
import json
import logging
import threading
import time
import traceback
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mu0_core.errors import ConfigError, InferenceError
from mu0_core.trace_extract.captioning import chat_server
from mu0_core.trace_extract.captioning.captioner import Caption, CaptionRequest
from mu0_core.trace_extract.captioning.captioner_registry import make_captioner
from mu0_core.trace_extract.records import MotionSegments, TextSpan
from mu0_core.trace_extract.stages.captions import MovingPoints, caption_segments

SECRET = "sk-very-secret-0123456789"
SAID = {"instructions": ["push the cup", "move the cup"], "skills": ["push"], "objects": ["cup"]}
RED = np.full((90, 160, 3), (200, 20, 20), np.uint8)
BLUE = np.full((90, 160, 3), (20, 20, 200), np.uint8)
REQUEST = CaptionRequest((RED, BLUE), BLUE, ("push the cup",), None)


def completion(content):
    return 200, json.dumps({"choices": [{"message": {"content": content}}]}), {}


GOOD = completion(json.dumps(SAID))


class Server(ThreadingHTTPServer):
    """Answers with what stands in ``script``, the last entry again and again."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.requests, self.delay_s = [GOOD], [], 0.0
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.requests.append((self.path, dict(self.headers), json.loads(body)))
        status, text, headers = server.script[min(len(server.requests), len(server.script)) - 1]
        time.sleep(server.delay_s)
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            data = text.replace("ECHO", self.headers.get("Authorization", "")).encode()
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except BrokenPipeError:
            pass  # the client did not wait

    def log_message(self, *args):
        pass


@contextmanager
def running():
    """Yield a server that answers in a thread."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(monkeypatch):
    """Yield a running server that the environment points to, with a key."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with running() as found:
        monkeypatch.setenv("MU0_CAPTION_URL", f"{found.address}/v1")
        monkeypatch.setenv("MU0_CAPTION_MODEL", "tiny-vlm")
        monkeypatch.setenv("MU0_CAPTION_API_KEY", SECRET)
        yield found


@pytest.fixture
def waits(monkeypatch):
    """Return the list of the waits between tries, which are not waited."""
    found = []
    monkeypatch.setattr(chat_server, "time", SimpleNamespace(sleep=found.append))
    return found


def captioner(**options):
    return make_captioner("openai", {"backoff_s": 0.001, **options})


def test_the_request_is_a_chat_completion_with_pictures(server):
    said = captioner(image_px=80).describe(REQUEST)
    assert said == Caption(("push the cup", "move the cup"), ("push",), ("cup",))
    (path, headers, body), = server.requests  # fmt: skip
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert body["model"] == "tiny-vlm" and set(body) == {"model", "messages"}
    (message,) = body["messages"]
    text, *pictures = message["content"]
    assert message["role"] == "user" and "push the cup" in text["text"]
    colours = []
    for part in pictures:
        kind, data = part["image_url"]["url"].split(",")
        assert part["type"] == "image_url" and kind == "data:image/jpeg;base64"
        image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (45, 80, 3)
        colours.append(image[20, 40, ::-1])
    np.testing.assert_allclose(colours, [RED[0, 0], BLUE[0, 0], BLUE[0, 0]], atol=6)


def test_merging_sends_sentences_and_no_picture(server):
    merged = captioner(max_tokens=99).merge([Caption(("pick it",)), Caption(("place it",))])
    assert merged == ("push the cup", "move the cup")
    body = server.requests[0][2]
    assert "1. pick it\n2. place it" in body["messages"][0]["content"]
    assert body["max_tokens"] == 99


def test_a_server_without_a_key_gets_none(server, monkeypatch):
    monkeypatch.delenv("MU0_CAPTION_API_KEY")
    captioner().describe(REQUEST)
    assert "Authorization" not in server.requests[0][1]


def test_answers_in_parts_are_put_together(server):
    whole = json.dumps(SAID)
    server.script = [completion([{"type": "text", "text": t} for t in (whole[:9], whole[9:])])]
    assert captioner().describe(REQUEST).objects == ("cup",)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(server, waits, status):
    server.script = [(status, "later", {}), (status, "later", {}), GOOD]
    captioner(backoff_s=1.0).describe(REQUEST)
    assert len(server.requests) == 3 and waits == [1.0, 2.0]


def test_a_server_may_say_how_long_to_wait_within_reason(server, waits):
    server.script = [
        (429, "", {"Retry-After": "7"}),
        (429, "", {"Retry-After": "9999"}),
        (429, "", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        GOOD,
    ]
    captioner(backoff_s=1.0, max_backoff_s=20.0).describe(REQUEST)
    assert waits == [7.0, 20.0, 4.0]


def test_a_server_that_stays_busy_is_given_up(server, waits):
    server.script = [(503, "overloaded", {})]
    with pytest.raises(InferenceError, match=r"gave up after 3 tries.*HTTP 503: overloaded"):
        captioner(tries=3).describe(REQUEST)
    assert len(server.requests) == 3 and len(waits) == 2


def test_a_silent_server_is_given_up(server):
    server.delay_s = 1.0
    start = time.monotonic()
    with pytest.raises(InferenceError, match="gave up after 2 tries.*timed out"):
        captioner(timeout_s=0.1, tries=2).describe(REQUEST)
    assert time.monotonic() - start < 0.9


def test_a_server_that_is_not_there_is_named(server, monkeypatch):
    monkeypatch.setenv("MU0_CAPTION_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(InferenceError, match=r"http://127.0.0.1:1/v1/chat.*gave up.*refused"):
        captioner(tries=1).describe(REQUEST)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_an_error_at_once(server, status):
    server.script = [(status, '{"error": "no such model"}', {})]
    with pytest.raises(InferenceError, match=rf"HTTP {status}: .*no such model"):
        captioner().describe(REQUEST)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "text",
    ["<html>hello</html>", "", "[]", "{}", '{"choices": []}', '{"choices": [{"message": {}}]}',
     '{"choices": [{"message": {"content": null}}]}',
     '{"choices": [{"message": {"content": [3]}}]}', "\udcff"],
)  # fmt: skip
def test_what_is_no_chat_completion_is_an_error_at_once(server, text):
    server.script = [(200, text.encode("utf-8", "replace").decode(), {})]
    with pytest.raises(InferenceError, match="no chat completion in"):
        captioner().describe(REQUEST)
    assert len(server.requests) == 1


def test_an_endless_answer_is_refused(server, monkeypatch):
    monkeypatch.setattr(chat_server, "_MAX_ANSWER_BYTES", 1000)
    server.script = [completion("x" * 2000)]
    with pytest.raises(InferenceError, match="longer than 1000 B"):
        captioner().describe(REQUEST)


def test_a_model_that_talks_nonsense_is_asked_a_few_times(server):
    server.script = [completion("blah"), completion("{}"), GOOD]
    captioner(attempts=3).describe(REQUEST)
    assert len(server.requests) == 3
    server.script = [completion("blah")]
    with pytest.raises(InferenceError, match=r"'tiny-vlm': 2 answers and none is usable.*blah"):
        captioner(attempts=2).describe(REQUEST)


def everything_about(error):
    return "".join(traceback.format_exception(error)) + repr(vars(error))


@pytest.mark.parametrize(
    "answer",
    [(401, "wrong key: ECHO", {}), (503, "ECHO ECHO", {}), (200, "ECHO", {}), completion("ECHO")],
)
def test_a_server_that_repeats_the_key_does_not_get_it_into_an_error(server, waits, answer):
    server.script = [answer]
    with pytest.raises(InferenceError, match=r"Bearer \(key\)") as caught:
        captioner(tries=2, attempts=2).describe(REQUEST)
    assert SECRET not in everything_about(caught.value)


def test_the_key_is_nowhere_but_in_the_request(server, caplog):
    caplog.set_level(logging.DEBUG)
    said = SAID | {"instructions": ["push ECHO"], "objects": ["ECHO"]}
    server.script = [completion(json.dumps(said))]
    model = captioner()
    uvz = np.ones((3, 20, 3))
    captions = caption_segments(
        np.zeros((20, 30, 40, 3), np.uint8),
        [TextSpan(0, 19, "push")],
        MotionSegments(np.array([[0, 9], [10, 19]]), np.zeros(20), np.zeros(20)),
        MovingPoints(uvz, uvz[..., :2], np.ones((3, 20), bool)),
        model,
    )
    assert len(captions.entries) == 3 and captions.entries[0].captioner == "openai"
    assert captions.entries[0].instructions == ("push Bearer (key)",)
    for kept in (
        captions.to_json(),
        json.dumps(model.provenance()),
        repr(vars(model)) + repr(vars(model._server)) + repr(model._settings),
        caplog.text,
    ):
        assert SECRET not in kept
    assert model.provenance() == {
        "captioner": "openai",
        "model": "tiny-vlm",
        "server": f"{server.address}/v1/chat/completions",
        "image_px": "512",
    }


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_never_carries_key_or_pictures_elsewhere(server, status):
    with running() as elsewhere:
        server.script = [(status, "", {"Location": f"{elsewhere.address}/v1/chat/completions"})]
        with pytest.raises(InferenceError, match=f"HTTP {status}"):
            captioner().describe(REQUEST)
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("URL", None, "MU0_CAPTION_URL is not set"),
        ("URL", "example.org/v1", "must begin with http"),
        ("URL", "ftp://example.org", "must begin with http"),
        ("URL", "http://", "must begin with http"),
        ("URL", f"http://me:{SECRET}@host/v1", "no user, query or fragment"),
        ("URL", f"http://host/v1?key={SECRET}", "no user, query or fragment"),
        ("URL", f"http://host/v1 {SECRET}", "holds a character that no address has"),
        ("URL", f"http://host:{SECRET}/v1", "is no address"),
        ("MODEL", None, "MU0_CAPTION_MODEL is not set"),
        ("API_KEY", f"{SECRET}\nX: y", "API_KEY holds a character"),
        ("API_KEY", f"{SECRET}é", "API_KEY holds a character"),
    ],
)
def test_a_wrong_environment_is_named_without_its_secrets(
    server, monkeypatch, name, value, message
):
    if value is None:
        monkeypatch.delenv(f"MU0_CAPTION_{name}")
    else:
        monkeypatch.setenv(f"MU0_CAPTION_{name}", value)
    with pytest.raises(ConfigError, match=message) as caught:
        captioner()
    assert SECRET not in everything_about(caught.value)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/chat/completions", "/v1/chat/completions/"])
def test_the_path_is_completed_once(server, monkeypatch, path):
    monkeypatch.setenv("MU0_CAPTION_URL", server.address + path)
    captioner().describe(REQUEST)
    assert server.requests[0][0] == "/v1/chat/completions"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"timeout_s": 0.0}, "timeout_s 0.0"),
        ({"tries": 0}, "tries 0"),
        ({"backoff_s": 50.0}, "backoff_s 50.0"),
        ({"attempts": 0}, "attempts 0"),
        ({"image_px": 0}, "image_px 0"),
        ({"max_tokens": -1}, "max_tokens -1"),
    ],
)
def test_settings_check_themselves(server, change, message):
    with pytest.raises(ConfigError, match=message):
        captioner(**change)
