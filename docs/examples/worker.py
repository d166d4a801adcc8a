#!/usr/bin/env python3
"""A worker: EVERFOLD_URL=http://127.0.0.1:7878 EVERFOLD_TOKEN=evf_… python3 worker.py"""
import json, os, socket, threading, time, urllib.error, urllib.request, uuid

URL, TOKEN = os.environ["EVERFOLD_URL"], os.environ["EVERFOLD_TOKEN"]
INSTANCE = os.environ.get("EVERFOLD_INSTANCE") or f"{socket.gethostname()[:30]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def canary(job, log, cancelled):
    """What is done: gives the output, or raises. The key is the same when the same work is tried again."""
    log(f"deploys {job['with']['version']} with the key {job['idempotency_key'][:8]}")
    if cancelled.wait(float(job["with"].get("seconds", 0))):
        raise RuntimeError("cancelled")
    return {"healthy": True, "version": job["with"]["version"]}


FUNCTIONS = {"deploy.canary": canary}


def post(path, body, timeout=90):
    """Asks until somebody answers: the engine may be away. None: it refuses, and says why."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = json.dumps({**body, "instance": INSTANCE}).encode()  # Which of the processes with this token it is.
    request = urllib.request.Request(f"{URL}/api/v1/workers/{path}", data, headers)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                return print("refused:", error.read().decode(), flush=True)
        except OSError as error:
            print("no answer:", error, flush=True)
        time.sleep(0.5)


def work(job):
    cancelled, done, lines, lease = threading.Event(), threading.Event(), [], {"lease": job["lease"]}

    def beat():  # Each is answered as soon as the attempt is to stop.
        while not done.wait(min(1, job["lease_seconds"] / 3)):
            taken = [lines.pop(0) for _ in range(min(len(lines), 1000))]
            heard = post(f"attempts/{job['id']}/heartbeat?wait={job['lease_seconds'] // 3:.0f}s", {**lease, "log": taken})
            if heard is None or heard["cancel"]:
                return cancelled.set()

    threading.Thread(target=beat, daemon=True).start()
    try:
        verb, end = "complete", {"output": FUNCTIONS[job["function"]](job, lines.append, cancelled)}
    except Exception as error:
        verb, end = "fail", {"failure": {"message": str(error)}}
    done.set()
    if post(f"attempts/{job['id']}/{verb}", {**lease, **end, "log": lines}) is None and verb == "complete":
        post(f"attempts/{job['id']}/fail", {**lease, "failure": {"message": "what it gave was refused"}})


while True:
    polled = post("poll", {"kinds": list(FUNCTIONS), "capacity": 1, "wait": 30, "holds": []}) or exit(1)
    for attempt in polled["attempts"]:
        work(attempt)
