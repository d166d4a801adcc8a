"""An agent's part of a delivery, over MCP: starts a run as a task, decides what it asks, and answers ten questions.

    pip install mcp
    python mcp_agent.py stdio everfold --dir .everfold mcp
    EVERFOLD_TOKEN=evf_… python mcp_agent.py http https://flow.example.org/mcp
"""

import asyncio
import json
import os
import sys
from typing import Any, Literal

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.extension import ClientExtension, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ElicitResult, Request, RequestParams, Result
from pydantic import ConfigDict, Field, TypeAdapter

PIPELINE = """
name: note
input: { type: object, required: [task], properties: { task: { type: string } } }
steps:
  - id: write
    command: echo "writing, round $EVERFOLD_ROUND" >&2; echo '{"words":3}'
    outputs: { json: stdout }
    gates: [{ id: short, command: "true" }]
  - { id: review, approval: { title: "Send ${input.task}?", show: ["It has 3 words."], on_changes: { rework: write } } }
  - { id: place, question: { title: Where to?, options: [board, mail] } }
  - { id: send, command: "echo sent" }
output: { words: "${steps.write.output.words}", to: "${steps.place.output.choice}" }
"""


class TaskHandle(Result):
    """What a call gives in place of its result, where it goes on as a task."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)
    result_type: Literal["task"] = Field(alias="resultType", default="task")
    task_id: str = Field(alias="taskId")


class TaskParams(RequestParams):
    model_config = ConfigDict(extra="allow")


class TaskRequest(Request[TaskParams, Literal["tasks/get", "tasks/update", "tasks/cancel"]]):
    name_param = "taskId"


class Tasks(ClientExtension):
    """Follows a task to its end, and fills in the forms that it asks to be filled in."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self, fill_in):
        self.fill_in, self.seen, self.task_id = fill_in, [], None

    def claims(self):
        return [ResultClaim(result_type="task", model=TaskHandle, resolve=self.follow)]

    async def follow(self, handle, context) -> CallToolResult:
        self.task_id, self.seen = handle.task_id, [handle.model_extra["status"]]

        async def ask(method: str, **params: Any) -> dict:
            request = TaskRequest(method=method, params=TaskParams(taskId=handle.task_id, **params))
            return await context.session.send_request(request, TypeAdapter(dict[str, Any]))

        while True:
            task = await ask("tasks/get")
            if self.seen[-1] != task["status"]:
                self.seen.append(task["status"])
                print(f"task {task['taskId'][-8:]}: {task['statusMessage']}", flush=True)
            if task["status"] == "input_required":
                forms = task["inputRequests"].items()
                filled = {key: {"action": "accept", "content": self.fill_in(form["params"])} for key, form in forms}
                await ask("tasks/update", inputResponses=filled)
            elif task["status"] == "completed":
                return CallToolResult.model_validate(task["result"])
            elif task["status"] in ("failed", "cancelled"):
                raise RuntimeError(json.dumps(task.get("error", task["status"])))
            await asyncio.sleep(task["pollIntervalMs"] / 1000)


def fill_in(form: dict) -> dict:
    """What a person would be asked: changes first, then yes; to the board."""
    fields = form["requestedSchema"]["properties"]
    if "decision" not in fields:
        return {"choice": "board"}
    if fill_in.rounds == 0:
        fill_in.rounds = 1
        return {"decision": "changes", "comment": "shorter, please"}
    return {"decision": "approve", "comment": "well done"}


fill_in.rounds = 0


async def declined(_context, _params):
    return ElicitResult(action="decline")


async def main() -> None:
    how, *rest = sys.argv[1:]
    if how == "stdio":
        server = StdioServerParameters(command=rest[0], args=rest[1:], env=dict(os.environ))
    else:
        headers = {"Authorization": f"Bearer {os.environ['EVERFOLD_TOKEN']}"}
        server = streamable_http_client(rest[0], http_client=httpx2.AsyncClient(headers=headers, timeout=120))
    tasks = Tasks(fill_in)
    # To declare the callback is to say that forms can be shown.
    async with Client(server, extensions=[tasks], elicitation_callback=declined) as client:

        async def call(tool: str, **arguments: Any) -> dict:
            answer = await client.call_tool(tool, arguments)
            if answer.is_error:
                raise RuntimeError(answer.content[0].text)
            return answer.structured_content

        done = await call("start_run", definition=PIPELINE, input={"task": "a note"}, idempotency_key="note-1")
        run = done["short_id"]
        questions = {
            "What came of it?": await call("show_run", run=run),
            "Why is it where it is?": await call("why", run=run),
            "Which runs of the pipeline are there?": await call("list_runs", filter="pipeline == 'note'"),
            "Who decided what?": await call("list_decisions", run=run, kind="vote"),
            "What did its first step write, in the end?": await call("read_log", run=run, step="write"),
            "What happened first?": await call("list_events", run=run, limit=3),
            "Where was it after its second event?": await call("show_run", run=run, version=2),
            "What changed since then?": await call("diff_runs", run=run, **{"from": 2}),
            "How many succeeded?": await call("stats", by="pipeline", filter="pipeline == 'note'"),
            "What did it cost?": await call("spend", run=run),
        }
        tools = [tool.name for tool in (await client.list_tools()).tools]
        said = {"task": tasks.task_id, "seen": tasks.seen, "questions": questions, "tools": tools}
        print(json.dumps(said, indent=1))


asyncio.run(main())
