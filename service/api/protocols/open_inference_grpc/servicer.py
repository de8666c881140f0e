"""The methods of `inference.GRPCInferenceService`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from service.api.executor import is_small
from service.api.protocols.open_inference.infer import OpenInference
from service.api.protocols.open_inference.messages import InferRequest
from service.api.protocols.open_inference.metadata import (
    model_config,
    model_metadata,
    model_statistics,
    served_card,
    server_metadata,
)
from service.api.protocols.open_inference.outputs import size_of
from service.api.protocols.open_inference.repository import (
    check_load,
    is_model_ready,
    repository_index,
)
from service.api.protocols.open_inference.tensors import Images
from service.api.protocols.open_inference_grpc.calls import Call, Calls, read_message
from service.api.protocols.open_inference_grpc.messages import (
    infer_response,
    make_message,
    parse,
    parse_infer,
)
from service.api.routes.health import readiness
from service.api.state import AppState
from service.worker_state import State

# of a method with a small message: its fields, or those of the response in the form of JSON
Answer = Callable[[Any], Awaitable[dict[str, Any]]]
OPEN_METHODS = frozenset({"ServerLive", "ServerReady"})


class Servicer:
    """Answers calls.

    Parameters
    ----------
    app_state : AppState
        Shared with the routes of HTTP.
    """

    def __init__(self, app_state: AppState) -> None:
        self._app_state = app_state
        self._open_inference = OpenInference(app_state)

    def handlers(self) -> dict[str, Any]:
        """The handlers of all methods, by name.

        Each reads its one message itself, after it has checked the key: for gRPC it takes a stream.
        """
        import grpc

        calls = Calls(self._app_state)
        answers: dict[str, Answer] = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._metadata,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        wrapped = {
            name: calls.wrap(name, self._handler(name, answer), is_open=name in OPEN_METHODS)
            for name, answer in answers.items()
        }
        wrapped["ModelInfer"] = calls.wrap("ModelInfer", self._infer)
        make = grpc.stream_unary_rpc_method_handler
        return {name: make(serve) for name, serve in wrapped.items()}

    def _handler(self, name: str, answer: Answer) -> Callable[[Call], Awaitable[bytes]]:
        async def handle(call: Call) -> bytes:
            with self._app_state.body_budget.hold() as body:
                content = await read_message(call, body, self._app_state.settings.receive_s)
                answered = await answer(parse(f"{name}Request", content))
            response: bytes = make_message(f"{name}Response", answered).SerializeToString()
            return response

        return handle

    async def _infer(self, call: Call) -> bytes:
        app_state, caller = self._app_state, call.caller
        if app_state.rate_limit is not None:
            await app_state.rate_limit.check(call.log_fields["key"])
        app_state.queue.check_capacity(caller.client)
        with app_state.body_budget.hold() as body:
            content = await read_message(call, body, app_state.settings.receive_s)
            run, deadline = app_state.executor.run, caller.deadline
            request, version, images = await run(
                is_small(len(content)), deadline, self._parse, content
            )
            served_card(app_state, request.model, version)
            plan = self._open_inference.plan(request, images)
            call.log_fields.update(plan.log_fields)
            result = await self._open_inference.run(plan, caller)
            with caller.timings.measure("render"):
                return await run(
                    is_small(size_of(result.outputs)), deadline, infer_response, result
                )

    def _parse(self, content: bytes) -> tuple[InferRequest, str, Images]:
        request, version = parse_infer(content)
        return request, version, self._open_inference.images(request)

    async def _live(self, request: Any) -> dict[str, Any]:
        return {"live": self._app_state.queue.state is not State.BROKEN}

    async def _ready(self, request: Any) -> dict[str, Any]:
        return {"ready": readiness(self._app_state) is State.READY}

    async def _model_ready(self, request: Any) -> dict[str, Any]:
        served_card(self._app_state, request.name, request.version)
        return {"ready": is_model_ready(self._app_state)}

    async def _metadata(self, request: Any) -> dict[str, Any]:
        return server_metadata()

    async def _model_metadata(self, request: Any) -> dict[str, Any]:
        return model_metadata(served_card(self._app_state, request.name, request.version))

    async def _model_config(self, request: Any) -> dict[str, Any]:
        card = served_card(self._app_state, request.name, request.version)
        return {"config": model_config(card)}

    async def _model_statistics(self, request: Any) -> dict[str, Any]:
        app_state = self._app_state
        names = [request.name] if request.name else list(app_state.cards)
        cards = [served_card(app_state, name, request.version) for name in names]
        return {"model_stats": [model_statistics(app_state, card) for card in cards]}

    async def _index(self, request: Any) -> dict[str, Any]:
        return {"models": await repository_index(self._app_state, is_ready=request.ready)}

    async def _load(self, request: Any) -> dict[str, Any]:
        check_load(request.parameters)
        await self._app_state.models.load(_model_of(request))
        return {}

    async def _unload(self, request: Any) -> dict[str, Any]:
        await self._app_state.models.unload(_model_of(request))
        return {}


def _model_of(request: Any) -> str:
    """The model of a request: the field of Triton's clients, or of KServe's."""
    name: str = request.model_name or request.repository_name
    return name
