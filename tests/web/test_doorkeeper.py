"""What is turned down unread: requests for a prediction, and nothing that another reader could see as two."""

import pytest

from netwright.web.doorkeeper import Post, one_post

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
WHOLE = HEAD + b"Content-Length: 3\r\n\r\nabc"


def test_requests_are_known_by_their_path_what_is_missing_and_the_token() -> None:
    assert one_post(WHOLE) == one_post(WHOLE.replace(b"/predict", b"/predict?overlay=true")) == Post("/predict", 0)
    explained = WHOLE.replace(b"predict", b"explain").replace(b"Content-Length", b"content-length")
    assert one_post(explained) == Post("/explain", 0)
    assert one_post(WHOLE[:-2]) == Post("/predict", 2)
    authorized = WHOLE.replace(b"Host", b"authorization:  Bearer abc \r\nHost")
    assert one_post(authorized) == Post("/predict", 0, "Bearer abc")


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
        HEAD + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 3\r\n\r\nabc",
        HEAD + b"Authorization : Bearer a\r\nContent-Length: 3\r\n\r\nabc",
        HEAD + b"Authorization: Bearer\r\n a\r\nContent-Length: 3\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nConnection: Close\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
        HEAD + b"Content-Length: 3\r\nUpgrade: h2c\r\n\r\nabc",
    ],
)
def test_all_else_is_left_to_the_parser(data: bytes) -> None:
    assert one_post(data) is None
