#!/usr/bin/env python3
"""A delivery over REST, with `requests` and nothing else:

    EVERFOLD_URL=http://127.0.0.1:7878 EVERFOLD_TOKEN=evf_… python3 delivery.py KEY 'What is to be done'

KEY names the delivery. Whatever dies meanwhile, the server, the network or this program: called again with the
same KEY it goes on with the same run, and nothing is done twice. The token has the role `operator`.
"""
import json, os, sys, time
import requests

URL, TOKEN = os.environ["EVERFOLD_URL"], os.environ["EVERFOLD_TOKEN"]
PIPELINE = """
name: delivery-in-small
input: { type: object, required: [task], properties: { task: { type: string, minLength: 5 } } }
steps:
  - id: scope
    question: { title: How much of it?, text: "The wish is: ${input.task}", options: [all, some] }
  - id: build                            # an agent, here played by a shell
    command: |
      echo ${input.task} > change.txt
      echo '{"change": "change.txt", "everfold": {"usage": {"model": "small", "output_tokens": 70, "cost": "0.07"}}}' > "$EVERFOLD_OUTPUT"
    gates:
      - { id: tests, command: test -s change.txt, on_fail: { rework: build, max: 2 } }
  - id: review
    approval: { title: Deliver it?, on_reject: { rework: build } }
output: { scope: "${steps.scope.output.choice}", change: "${steps.build.output.change}" }
"""


class Everfold:
    def __init__(self):
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {TOKEN}"

    def ask(self, method, path, body=None, key=None, headers=None, stream=False, but=()):
        """Asks until somebody answers. A write has a key, so that a repeat of it is not another one."""
        headers = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        while True:
            wait = 0.5
            try:
                # A stream says every 15 s that it lives.
                answer = self.session.request(
                    method, f"{URL}{path}", json=body, headers=headers, stream=stream, timeout=(5, 60)
                )
                if answer.status_code < 400 or answer.status_code in but:
                    return answer
                if answer.status_code < 500 and answer.status_code != 429:
                    problem = answer.json()
                    sys.exit(f"{problem['code']}: {problem['detail']} ({problem.get('hint', 'no hint')})")
                wait = float(answer.headers.get("Retry-After", wait))
            except requests.RequestException as error:
                print(f"no answer, and once more: {type(error).__name__}", file=sys.stderr)
            time.sleep(wait)

    def get(self, path):
        return self.ask("GET", path).json()

    def follow(self, run):
        """Every event of a run, once and in order, until it has ended."""
        last, ended = None, False
        while not ended:
            behind = {"Last-Event-ID": last} if last else {}
            try:
                with self.ask("GET", f"/api/v1/runs/{run}/events/stream", headers=behind, stream=True) as answer:
                    for event_id, name, data in sse(answer.iter_lines()):
                        if name == "event":
                            last = event_id
                            ended = data["event"]["type"] in ("RunSucceeded", "RunFailed", "RunCancelled")
                            yield data
            except requests.RequestException:
                pass  # The connection broke: on from the last event that came.


def sse(lines):
    fields = {}
    for line in lines:
        name, _, value = line.decode().partition(": ")
        if line and name:
            fields[name] = value
        elif fields.get("data"):
            yield fields.get("id"), fields["event"], json.loads(fields["data"])
            fields = {}


def answer(everfold, task):
    """Asks whoever sits here. What is asked a second time has the same key: it is answered once."""
    if task["kind"] == "question":
        body = {"answers": {"choice": input(f"{task['title']} {task['text']} ")}}
    else:
        words = input(f"{task['title']} yes, or what is wrong: ")
        body = {"decision": "approve"} if words == "yes" else {"decision": "reject", "comment": words}
    # 409: somebody else was first.
    everfold.ask("POST", f"/api/v1/inbox/{task['id']}", body, key=task["id"], but=(409,))


def main(key, wish):
    everfold = Everfold()
    everfold.ask("PUT", "/api/v1/pipelines/delivery-in-small", {"definition": PIPELINE}, key=key)
    start = {"pipeline": "delivery-in-small", "input": {"task": wish}, "title": wish}
    run = everfold.ask("POST", "/api/v1/runs", start, key=key).json()["id"]
    print(f"run {run}", flush=True)
    for event in everfold.follow(run):
        kind = event["event"]["type"]
        print(f"{event['version']:>4} {kind}", flush=True)
        if kind in ("QuestionAsked", "ApprovalRequested"):
            # Only what is still open: a delivery that is gone on with has answers already.
            open_tasks = everfold.get(f"/api/v1/inbox?run={run}&min_position={event['position']}")["items"]
            for task in (task for task in open_tasks if task["position"] == event["position"]):
                answer(everfold, task)
    view = everfold.get(f"/api/v1/runs/{run}")
    audit = everfold.get(f"/api/v1/runs/{run}/audit")["items"]
    spend = everfold.get(f"/api/v1/spend?by=step&run={run}")
    print(json.dumps({"status": view["status"], "output": view["output"], "audit": audit, "spend": spend["total"]}, indent=2))
    return 0 if view["status"] == "succeeded" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]) if len(sys.argv) == 3 else __doc__)
