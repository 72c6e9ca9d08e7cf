"""What is turned down unread: requests for a prediction, and nothing that another reader could see as two."""

import pytest

from netwright.web.doorkeeper import one_post

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
WHOLE = HEAD + b"Content-Length: 3\r\n\r\nabc"


def test_requests_are_known_by_their_path_and_what_is_missing() -> None:
    assert one_post(WHOLE) == one_post(WHOLE.replace(b"/predict", b"/predict?overlay=true")) == ("/predict", 0)
    assert one_post(WHOLE.replace(b"predict", b"explain").replace(b"Content-Length", b"content-length")) == (
        "/explain",
        0,
    )
    assert one_post(WHOLE[:-2]) == ("/predict", 2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WHOLE + b"P",
        WHOLE[:60],
        WHOLE.replace(b"POST /predict", b"POST /model"),
        WHOLE.replace(b"POST", b"GET"),
        WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD + b"\r\nabc",
        HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        HEAD + b"Content-Length: +3\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nContent-Length : 4\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nConnection: Close\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nUpgrade: h2c\r\n\r\nabc",
    ],
)
def test_all_else_is_left_to_the_parser(data: bytes) -> None:
    assert one_post(data) is None
