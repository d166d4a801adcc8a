#!/usr/bin/env python3
"""Checks a staging service of the orchestrator, from outside, on a sandbox project.

    staging_check.py --base-url http://localhost:8501 --mode stub [--service everfold|orch] [--report FILE]

Ends with 0 when every check passed, 1 when one failed, 2 when it refused to begin (nothing was done then).
Law: nothing is written unless ORCH_STAGING=true; what was written is removed again, whatever happened in between.
Python's standard library is all that it needs. ops/orch/README.md lists the checks and the variables.
"""

import argparse
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

SANDBOX = "8c5a3025-4f9d-4190-b79f-fa06276bb27e"
PRODUCTION = "7a79f0a9-5278-49cd-9007-9a338f238f9c,8da6aa25-a60e-44d6-a1e2-d8ae59aa7d6a"
PRODUCTION_PORT = 8500
GONE = (200, 204, 404)
MAX_BODY = 4 * 1024 * 1024

# What must have passed before a check makes sense.
NEEDS = {
    "A2": ["A1"],
    "B6": ["A1"],
    "C7": ["A1", "B4", "B6"],
    "C8": ["C7"],
    "C9a": ["C8", "B5"],
    "C9b": ["C8"],
}
TITLES = {
    "A1": "the service is healthy",
    "A2": "its queue can be read",
    "A3": "this is staging",
    "B4": "the sandbox of Plane can be read",
    "B5": "the sandbox of Gitea may be pushed to",
    "B6": "the service knows the sandbox and no project of production",
    "C7": "an issue is created",
    "C8": "a signed webhook is accepted",
    "C9a": "the branch of this run appears",
    "C9b": "an analyst's job carries the name of the issue",
}


class Fail(Exception):
    """Why a check did not pass."""


def env(name, default=""):
    return os.environ.get("ORCH_" + name, "").strip() or default


def seconds(name, default):
    return float(os.environ.get("STAGING_" + name, default))


def call(method, url, headers=None, body=None, timeout=None):
    """(status, JSON or text): every answer is one, a connection that fails is a Fail."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    head = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, method=method, headers=head)
    try:
        with urllib.request.urlopen(request, timeout=timeout or seconds("TIMEOUT", 10)) as answer:
            status, raw = answer.status, answer.read(MAX_BODY)
    except urllib.error.HTTPError as error:
        status, raw = error.code, error.read(MAX_BODY)
    except OSError as error:
        raise Fail(f"{method} {url}: {getattr(error, 'reason', error)}") from None
    text = raw.decode("utf-8", "replace")
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def expect(answer, *statuses):
    """The body of an answer that has one of the statuses."""
    status, body = answer
    if status not in statuses:
        raise Fail(f"HTTP {status}: {str(body)[:200]}")
    return body


def rows(body):
    """Plane says a list, or a page with one."""
    return body.get("results", []) if isinstance(body, dict) else body


def until(limit, every, look):
    """What `look` finds within `limit` seconds; None if nothing."""
    end = time.monotonic() + limit
    while True:
        found = look()
        if found is not None or time.monotonic() + every > end:
            return found
        time.sleep(every)


class Service:
    """The service under check: what both kinds of it have in common."""

    health, queue, hook = "/health", "/queue", "/webhook/plane"

    def __init__(self, base):
        self.base, self.deliveries = base, []

    def get(self, path):
        return call("GET", self.base + path, self.headers())

    def headers(self):
        return {}

    def deliver(self, payload, what):
        """Sends a signed delivery of Plane; gives its id and the answer."""
        raw = json.dumps(payload).encode()
        delivery = f"staging-check-{what}-{secrets.token_hex(8)}"
        secret = env("PLANE_WEBHOOK_SECRET")
        head = {"X-Plane-Delivery": delivery, "X-Plane-Event": payload["event"]}
        if secret:
            head["X-Plane-Signature"] = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        self.deliveries.append(delivery)
        return delivery, call("POST", self.base + self.hook, head, raw)


class Orch(Service):
    """ORCH itself: its database is a file of SQLite."""

    def accepted(self, answer):
        body = expect(answer, 200)
        if not isinstance(body, dict) or body.get("status") != "accepted":
            raise Fail(f"the service said {body}")

    def knows(self, project):
        """Whether the service has the project: a comment has no effect there, but is answered by project."""
        _, answer = self.deliver(
            {"event": "issue_comment", "action": "created", "data": {"id": secrets.token_hex(16), "project": project}}, "registry"
        )
        body = expect(answer, 200)
        return not (isinstance(body, dict) and body.get("reason") == "unknown project")

    def forget(self, issue, _name, started):
        """Removes the rows of an issue, jobs before tasks, and those of the deliveries: what could not be removed is said."""
        path = env("DB_PATH")
        if not os.path.isfile(path):
            return [f"the store {path or '(ORCH_DB_PATH is not set)'} is not there"]
        findings = []
        with sqlite3.connect(path, timeout=10) as store:
            deletions = [("DELETE FROM events WHERE delivery_id = ?", delivery) for delivery in self.deliveries]
            if issue:
                deletions[:0] = [
                    ("DELETE FROM jobs WHERE task_id IN (SELECT id FROM tasks WHERE plane_id = ?)", issue),
                    ("DELETE FROM tasks WHERE plane_id = ?", issue),
                ]
            for statement, value in deletions:
                try:
                    removed = store.execute(statement, (value,)).rowcount
                    if started and statement.startswith("DELETE FROM tasks") and not removed:
                        findings.append(f"the store {path} has no task of this issue: it is another service's")
                except sqlite3.Error as error:
                    findings.append(f"the store {path}: {error}")
        store.close()
        return sorted(set(findings))


class Everfold(Service):
    """Everfold with the pipeline `orch`: its history stays; the run of the issue is cancelled."""

    health, queue, hook = "/healthz", "/api/v1/orch/queue", "/api/v1/hooks/plane"

    def headers(self):
        return {"Authorization": f"Bearer {env('TOKEN')}"} if env("TOKEN") else {}

    def accepted(self, answer):
        body = expect(answer, 202)
        if body.get("repeated"):
            raise Fail("the delivery had come before")

    def knows(self, project):
        """Whether a trigger knows the project: what it made of a delivery without effect stands in its record."""
        payload = {"event": "issue_comment", "action": "created", "data": {"id": secrets.token_hex(16), "project": project}}
        delivery, answer = self.deliver(payload, "registry")
        expect(answer, 202)
        path = f"{self.base}{self.hook}/deliveries/{delivery}"

        def outcomes():
            handled = expect(call("GET", path, self.headers()), 200)["handled"]
            return handled[0]["outcomes"] if handled else None

        found = until(seconds("OUTCOME_LIMIT", 30), seconds("OUTCOME_EVERY", 1), outcomes)
        if not found:
            raise Fail(f"no trigger answered for project {project}")
        return not any("unknown project" in str(outcome.get("reason")) for outcome in found)

    def forget(self, issue, name, started):
        if not issue:
            return []
        query = urllib.parse.urlencode({"q": name.split()[1], "limit": 20})
        try:
            found = expect(self.get(f"/api/v1/runs?{query}"), 200)["items"]
            mine = [run["id"] for run in found if name in json.dumps(run, ensure_ascii=False)]
            for run in mine:
                answer = call("POST", f"{self.base}/api/v1/runs/{run}/cancel", self.headers(), {"reason": "staging check"})
                expect(answer, 200, 202, 409)
        except (Fail, KeyError, TypeError) as error:
            return [f"the store of the service: {error}"]
        return [] if mine or not started else ["the store of the service has no run of this issue"]


class Suite:
    """One run of the checks: its findings, and what it has to remove again."""

    def __init__(self, base, mode, service):
        self.mode, self.service = mode, service(base.rstrip("/"))
        self.run = secrets.token_hex(4)
        # Short, so that it stands in the branch whole, whose names are cut at 30 characters.
        self.name = f"stgcheck {self.run} of the orchestrator"
        self.results, self.findings = {}, []
        self.issue = self.branch = None
        self.plane = f"{env('PLANE_API_URL', 'http://localhost:8091')}/api/v1/workspaces/{env('PLANE_WORKSPACE_SLUG', 'orch')}"
        self.project = env("SANDBOX_PROJECT", SANDBOX)
        self.sandbox = f"{self.plane}/projects/{self.project}"
        self.repo = f"{env('GITEA_URL', 'http://localhost:3000')}/api/v1/repos/{env('GITEA_OWNER', 'admin')}/{env('SANDBOX_REPO', 'orchestrator-sandbox')}"
        self.production = [each.strip() for each in env("PRODUCTION_PROJECTS", PRODUCTION).split(",") if each.strip()]

    def of_plane(self, method, path, body=None):
        return call(method, self.sandbox + path, {"X-API-Key": env("PLANE_API_TOKEN")}, body)

    def of_gitea(self, method, path):
        return call(method, self.repo + path, {"Authorization": f"token {env('GITEA_TOKEN')}"})

    def a1(self):
        body = expect(self.service.get(self.service.health), 200)
        if not isinstance(body, dict) or body.get("status") != "ok":
            raise Fail(f"no status ok: {str(body)[:200]}")

    def a2(self):
        body = expect(self.service.get(self.service.queue), 200)
        missing = [key for key in ("counts", "max_concurrency", "resilience") if key not in body]
        if missing:
            raise Fail("missing: " + ", ".join(missing))

    def a3(self):
        if env("STAGING") != "true":
            raise Fail("ORCH_STAGING is not true")

    def b4(self):
        expect(self.of_plane("GET", "/"), 200)
        states = rows(expect(self.of_plane("GET", "/states/"), 200))
        found = [state["id"] for state in states if state.get("name") == "In Progress"]
        if not found:
            raise Fail("the sandbox has no state In Progress")
        self.in_progress = found[0]

    def b5(self):
        permissions = expect(self.of_gitea("GET", ""), 200).get("permissions") or {}
        if not permissions.get("push"):
            raise Fail("the token may not push")

    def b6(self):
        known = [project for project in self.production if self.service.knows(project)]
        if known:
            raise Fail("the staging service knows the project of production " + ", ".join(known))
        if not self.service.knows(self.project):
            raise Fail(f"the staging service does not know the sandbox {self.project}")

    def c7(self):
        text = f"<p>Made by the staging check {self.run}, which removes it again.</p>"
        issue = expect(self.of_plane("POST", "/issues/", {"name": self.name, "description_html": text}), 200, 201)
        self.issue = issue["id"]

    def c8(self):
        text = f"Made by the staging check {self.run}, which removes it again."
        data = {"id": self.issue, "project": self.project, "name": self.name, "description_stripped": text}
        data["state"] = {"id": self.in_progress, "name": "In Progress"}
        payload = {"event": "issue", "action": "updated", "data": data, "workspace_id": "staging-check"}
        self.service.accepted(self.service.deliver(payload, "start")[1])

    def is_of_this_run(self, branch):
        """Its own slug, or where that was taken the first 8 characters of its issue; no older run's branch."""
        found = re.fullmatch(r"feature/[A-Za-z]+-\d+-(.+)", branch)
        return bool(found) and (found[1].startswith(f"stgcheck-{self.run}") or found[1] == str(self.issue)[:8])

    def branches(self):
        names = []
        for page in range(1, 21):
            found = expect(self.of_gitea("GET", f"/branches?page={page}&limit=50"), 200)
            names += [branch["name"] for branch in found]
            if len(found) < 50:
                break
        return [name for name in names if self.is_of_this_run(name)]

    def c9a(self):
        limit = seconds("BRANCH_LIMIT", 60)
        found = until(limit, seconds("BRANCH_EVERY", 3), lambda: self.branches() or None)
        if found is None:
            raise Fail(f"no branch of run {self.run} within {limit:g} s")
        self.branch = found[0]

    def c9b(self):
        def look():
            jobs = expect(self.service.get(self.service.queue), 200).get("recent") or []
            # ORCH shows the text of a job, Everfold the title of its task.
            named = (job for job in jobs if job.get("agent") == "analyst")
            mine = (job for job in named if self.name in f"{job.get('task_content')} {job.get('title')}")
            return next(mine, None)

        limit = seconds("JOB_LIMIT", 30)
        if until(limit, seconds("JOB_EVERY", 2), look) is None:
            raise Fail(f"no analyst's job with “{self.name}” within {limit:g} s")

    def check(self, name):
        """One check: its dependents say the first of those that it failed by."""
        cause = next((self.results[need][1] for need in NEEDS.get(name, []) if self.results[need][0]), None)
        if cause:
            reason = f"skipped: {cause} failed"
        else:
            cause = name
            try:
                getattr(self, name.lower())()
                reason = None
            except Fail as error:
                reason = str(error)
            except Exception as error:  # An answer of another form than expected is a finding, and never the end.
                reason = f"{type(error).__name__}: {error}"
        self.results[name] = (reason, cause)
        print(f"{'FAIL' if reason else 'PASS'} {name} {TITLES[name]}{': ' + reason if reason else ''}", flush=True)

    def clean(self, what, action):
        try:
            action()
        except Exception as error:
            self.findings.append(f"{what}: {error}")

    def cleanup(self):
        """The work first, which could push again; then the branch and the issue."""
        started = self.results.get("C9b", ("not reached", ""))[0] is None
        if self.issue is None and "C7" in self.results and not str(self.results["C7"][0]).startswith("skipped"):
            self.clean("issue", self.find_issue)
        if self.service.deliveries:
            self.clean("store", lambda: self.findings.extend(self.service.forget(self.issue, self.name, started)))
        if self.issue:
            # Also where the poll had not seen it, or found several.
            self.clean("branch", self.remove_branches)
            self.clean("issue", lambda: expect(self.of_plane("DELETE", f"/issues/{self.issue}/"), *GONE))
        for finding in self.findings:
            print(f"FAIL cleanup: {finding}", flush=True)

    def find_issue(self):
        """That of a C7 whose answer was lost."""
        newest = rows(expect(self.of_plane("GET", "/issues/?order_by=-created_at&per_page=100"), 200))
        self.issue = next((issue["id"] for issue in newest if issue.get("name") == self.name), None)

    def remove_branches(self):
        for name in sorted({*self.branches(), *([self.branch] if self.branch else [])}):
            expect(self.of_gitea("DELETE", "/branches/" + urllib.parse.quote(name, safe="")), *GONE)

    def play(self):
        try:
            for name in TITLES:
                self.check(name)
        finally:
            self.cleanup()
        failed = [name for name, (reason, _) in self.results.items() if reason]
        print(f"{len(self.results) - len(failed)}/{len(self.results)} checks PASS, mode {self.mode}", flush=True)
        return 1 if failed or self.findings else 0

    def report(self, base, code):
        """What a log of staging has to say beside the verdict."""
        unexercised = ["gates after analysis", "CI", "review", "deploy"]
        if self.mode == "stub":
            unexercised.insert(0, "a language model's work")
        return {
            "staging_status": "FAILED" if code else "SUCCESS",
            "timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "base_url": base,
            "mode": self.mode,
            "result": f"{sum(not reason for reason, _ in self.results.values())}/{len(self.results)} checks PASS",
            "exit_code": code,
            "commit": commit(),
            "unexercised": unexercised,
            "inputs": {"project": self.project, "repository": self.repo, "issue": self.issue, "branch": self.branch},
            "failed": {name: reason for name, (reason, _) in self.results.items() if reason},
            "cleanup": self.findings,
        }


def commit():
    """The candidate: as it is said, else that of the folder."""
    if os.environ.get("CANDIDATE_COMMIT"):
        return os.environ["CANDIDATE_COMMIT"]
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return None
    return head.stdout.strip() or None


def refusal(base, mode):
    """Why nothing may be begun."""
    if env("STAGING") != "true":
        return "ORCH_STAGING is not true: this may be production"
    if urllib.parse.urlsplit(base).port == PRODUCTION_PORT:
        return f"{base} is the port of production"
    if mode == "stub" and os.path.basename(env("CLAUDE_BIN", "stub")) == "claude":
        return "mode stub calls no language model, but ORCH_CLAUDE_BIN is claude"
    return None


def main():
    parser = argparse.ArgumentParser(description="Checks a staging service of the orchestrator on a sandbox project.")
    parser.add_argument("--base-url", default="http://localhost:8501")
    parser.add_argument("--mode", choices=["stub", "full-real"], default="stub")
    parser.add_argument("--service", choices=["everfold", "orch"], default="everfold")
    parser.add_argument("--report", metavar="FILE", help="writes the result as JSON")
    said = parser.parse_args()
    reason = refusal(said.base_url, said.mode)
    if reason:
        print(f"ABORT A3 {TITLES['A3']}: {reason}", flush=True)
        return 2
    # Who stops it has the cleanup, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    suite = Suite(said.base_url, said.mode, {"everfold": Everfold, "orch": Orch}[said.service])
    code = suite.play()
    if said.report:
        with open(said.report, "w", encoding="utf-8") as file:
            json.dump(suite.report(said.base_url, code), file, ensure_ascii=False, indent=2)
            file.write("\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
