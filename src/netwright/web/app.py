"""The routes: predict, explain, model, health, metrics, and the page."""

from collections.abc import Callable, Coroutine, Mapping, MutableMapping
from functools import cached_property
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import PlainTextResponse

from netwright.config.serving import Serving
from netwright.errors import InputError, NetwrightError
from netwright.web.answers import ANSWERS, as_json, png_url
from netwright.web.guard import Access, App, Guard, Receive, Send, error_json
from netwright.web.metrics import CONTENT_TYPE, Metrics
from netwright.web.page import PATHS, page_file
from netwright.web.requests import BINARY, TAKES, read_images, while_there
from netwright.web.schemas import Explanation, Model, Predictions, Refusal, Status
from netwright.workflows.serve import Overloaded, Service, TooLate, describe, explain_picture

_SENTENCES = {
    401: "no or another token",
    403: "a page of another site asks",
    406: "one PNG can't hold the masks of several images",
    408: "the body takes too long to come",
    413: "too many bytes or images",
    415: "another content type",
    421: "the Host header names another server",
    422: "nothing that can be read",
    503: "too many are waiting, or the deadline passed; Retry-After says when to come again",
}
_Responses = dict[int | str, dict[str, Any]]


def _refusals(*statuses: int) -> _Responses:
    return {status: {"model": Refusal, "description": _SENTENCES[status]} for status in statuses}


_OF_A_POST = _refusals(408, 415, 422, 503)
_TEXT: _Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
_CODES = {
    **{404: "not_found", 405: "method_not_allowed", 406: "not_acceptable", 408: "too_slow"},
    **{413: "too_large", 415: "unsupported_type"},
}


class _Plain(APIRoute):
    """A route whose endpoint takes the request and gives the answer itself: FastAPI's way to dependencies and answers
    that it makes itself costs a fifth of a small image's time. The OpenAPI document has it as any other."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint

        async def answer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = answer


class _App(FastAPI):
    """FastAPI for routes that need no more of it than the OpenAPI document: a POST finds its own by its path."""

    def build_middleware_stack(self) -> App:
        handlers = {kind: handler for kind, handler in self.exception_handlers.items() if kind is not Exception}
        inner = ExceptionMiddleware(self._to_route, handlers=handlers)
        return ServerErrorMiddleware(inner, handler=self.exception_handlers[Exception])

    async def _to_route(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        route = self._posts.get(scope["path"]) if scope.get("method") == "POST" else None
        if route is None:
            await self.router(scope, receive, send)
        else:
            scope["route"] = route
            await route.app(scope, receive, send)

    @cached_property
    def _posts(self) -> dict[str, _Plain]:
        return {each.path: each for each in self.routes if isinstance(each, _Plain) and each.methods == {"POST"}}


def build_app(service: Service, access: Access, limits: Serving, metrics: Metrics) -> Any:
    """Return the ASGI application for a service that is loaded."""
    # no /docs: its page loads scripts from elsewhere
    app = _App(title="netwright", docs_url=None, redoc_url=None, responses=_refusals(401, 403, 413, 421), version="1")
    app.router.route_class = _Plain
    metrics.waiting.set_function(lambda: service.waiting)
    _add_errors(app)
    _add_predictions(app, service, limits, metrics)
    _add_about(app, service, metrics)
    return Guard(metrics.wrapped(app), access, limits)


def _add_predictions(app: FastAPI, service: Service, limits: Serving, metrics: Metrics) -> None:
    task = service.predictor.bundle.task.name
    takes, answers = TAKES[service.takes], ANSWERS[task]
    body = {"requestBody": {"required": True, "content": takes.body(describe(service)["columns"] or [])}}
    schema: Any = Predictions[answers.model]  # type: ignore[name-defined]
    responses = _OF_A_POST | {422: {"model": Refusal | schema, "description": _SENTENCES[422]}}
    if answers.contents:
        responses |= _refusals(406) | {200: {"content": dict.fromkeys(answers.contents, BINARY)}}

    @app.post(
        "/predict",
        response_model=schema,
        responses=responses,
        openapi_extra=body | {"parameters": list(answers.parameters)},
        description=f"Answer for each {takes.thing}; one that can't be answered for has its reason.",
    )
    async def predict(request: Request) -> Response:
        with service.admitted():  # before the body is read, so that a flood takes no memory
            given = await takes.read(request, limits)
            wish = answers.wish(request, len(given))
            with service.admitted(len(given) - 1):
                work = service.predict(given, wish.draw)
                answer = await (while_there(request, work) if answers.is_long else work)
        failed = ["error" in each for each in answer["predictions"]]
        metrics.count_images(len(failed), sum(failed))
        return wish.respond(answer, 422 if all(failed) else 200)

    if answers.explained and service.takes == "images":
        _add_explanations(app, service, limits, body)


def _add_explanations(app: FastAPI, service: Service, limits: Serving, body: dict[str, Any]) -> None:
    @app.post("/explain", response_model=Explanation, responses=_OF_A_POST, openapi_extra=body)
    async def explain(request: Request) -> Response:
        """Show where on an image its likeliest class is seen (Grad-CAM), for networks with convolutions."""
        with service.admitted():
            images = await read_images(request, limits)
            if len(images) != 1:
                raise HTTPException(413, "one image at a time")
            answer = await explain_picture(service, images[0][1])
        return as_json(answer | {"overlay": png_url(answer.pop("png"))})


def _add_about(app: FastAPI, service: Service, metrics: Metrics) -> None:
    @app.get("/healthz", response_model=Status)
    async def healthz(request: Request) -> Response:
        """Say that the process answers."""
        return as_json({"status": "ok"})

    @app.get("/readyz", response_model=Status, responses=_refusals(503))
    async def readyz(request: Request) -> Response:
        """Say whether another image would be taken now."""
        with service.admitted():
            return as_json({"status": "ready"})

    @app.get("/model", response_model=Model)
    async def model(request: Request) -> Response:
        """Describe the model: card, classes, metrics, versions."""
        return as_json(describe(service))

    @app.get("/metrics", response_class=PlainTextResponse, responses=_TEXT)
    async def numbers(request: Request) -> Response:
        """Give this process's counters in Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    for path in PATHS:
        app.add_api_route(path, page_file(path), include_in_schema=False)


def _add_errors(app: FastAPI) -> None:
    """Every failure is JSON with a code and a sentence, and never has a stack or a path."""

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "bad_input")
        return _refused(error.status_code, code, str(error.detail), error.headers)

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        return _refused(503, "overloaded", str(error), {"retry-after": str(error.retry_seconds)})

    @app.exception_handler(TooLate)
    async def late(request: Request, error: TooLate) -> Response:
        return _refused(503, "too_late", str(error), {"retry-after": "1"})

    @app.exception_handler(NetwrightError)
    async def bad(request: Request, error: NetwrightError) -> Response:
        known = isinstance(error, InputError)
        return _refused(422 if known else 503, "bad_input" if known else "unavailable", str(error))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return _refused(500, "internal", "an error of the server's; its log says more")


def _refused(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(error_json(code, message), status, headers, "application/json")
