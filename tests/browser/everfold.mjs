// A data folder of its own, the real program that serves it, and what a test does to both.

import { execFile, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const PROGRAM = process.env.EVERFOLD_PROGRAM;
const SEED = path.join(import.meta.dirname, "seed");

/** Waits until a condition gives something true; fails after a time that no machine needs. */
export async function until(what, condition, within = 60_000) {
  const end = Date.now() + within;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await new Promise((later) => setTimeout(later, 50));
  }
}

/** A data folder and its server. */
export class Everfold {
  /** An empty folder, or one in which the demo has played a delivery. */
  static async start(t, { demo = false } = {}) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "everfold-browser-"));
    const here = new Everfold(folder);
    t?.after(() => here.end());
    if (demo) {
      here.data = path.join(folder, "demo", "data");
      await run(PROGRAM, ["demo", "--folder", path.join(folder, "demo")], { env: { ...process.env, EVERFOLD_USER: "ada" } });
    }
    fs.mkdirSync(here.data, { recursive: true });
    for (const name of fs.readdirSync(SEED)) fs.copyFileSync(path.join(SEED, name), path.join(folder, name));
    fs.chmodSync(path.join(folder, "agent.sh"), 0o755);
    fs.appendFileSync(path.join(here.data, "everfold.toml"),
      `[agents.builder]\ncommand = ["${folder}/agent.sh"]\nprompt = "stdin"\noutput = "claude"\n`);
    await here.serve();
    here.token = (await here.owner("token", "create", "tests", "--role", "admin", "--json")).token;
    return here;
  }

  constructor(folder) {
    this.folder = folder;
    this.data = path.join(folder, "data");
  }

  /** Starts the server, at the port that it had before. */
  async serve() {
    const listen = this.url ? new URL(this.url).host : "127.0.0.1:0";
    this.process = spawn(PROGRAM, ["serve", "--listen", listen, "--json"], {
      cwd: this.folder,
      env: { ...process.env, EVERFOLD_DIR: this.data, EVERFOLD_USER: "ada" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let told = "";
    const take = (chunk) => (told += chunk);
    this.process.stdout.on("data", take);
    this.process.stderr.on("data", take);
    this.url = await until(`the server listens: ${told}`, () => {
      if (this.process.exitCode !== null) throw new Error(`the server ended: ${told}`);
      return told.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0];
    });
    await until("the server answers", () => fetch(`${this.url}/readyz`).then((a) => a.ok, () => false));
  }

  /** Kills the server with no chance to say goodbye. */
  async kill() {
    const ended = new Promise((end) => this.process.once("exit", end));
    this.process.kill("SIGKILL");
    await ended;
  }

  /** Asks the server to end, and waits until it has. */
  async stop() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((end) => this.process.once("exit", end));
    this.process.kill("SIGTERM");
    await ended;
  }

  async end() {
    await this.stop();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  /** The command line as the owner of the folder; its answer as JSON. */
  async owner(...args) {
    const { stdout } = await this.asOwner(args);
    return JSON.parse(stdout);
  }

  /** The same, with whatever exit code. */
  asOwner(args) {
    return run(PROGRAM, args, {
      cwd: this.folder,
      env: { ...process.env, EVERFOLD_DIR: this.data, EVERFOLD_USER: "ada" },
    }).catch((error) => {
      if (error.stdout) return error;
      throw error;
    });
  }

  /** An answer of REST as the admin. */
  async rest(way, body) {
    const [method, at] = way.split(" ");
    const answer = await fetch(`${this.url}/api/v1${at}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${way}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** Saves the pipelines of the seed that are named. */
  async pipelines(...names) {
    for (const name of names) await this.owner("pipeline", "save", `./${name}.yaml`, "--json");
  }

  /** Starts a run of a saved pipeline; its id. */
  async start(pipeline, input = {}, title = undefined) {
    return (await this.rest("POST /runs", { pipeline, input, title })).id;
  }

  /** Waits until a run is as a condition says; its view. */
  async run(id, condition) {
    return until(`run ${id}: ${condition}`, async () => {
      const view = await this.rest(`GET /runs/${id}`);
      return condition(view) && view;
    });
  }

  /** A login link for a token of this role. */
  async link(role = "admin", ...approves) {
    const name = `${role}-${Math.random().toString(36).slice(2, 8)}`;
    const roles = approves.flatMap((approve) => ["--approves", approve]);
    await this.owner("token", "create", name, "--role", role, ...roles, "--json");
    const { path: at } = await this.owner("token", "link", name, "--json");
    return { name, address: `${this.url}${at}` };
  }
}
