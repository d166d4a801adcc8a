//! The codes of errors: stable names for programs, texts for people, the status of an answer and
//! the exit code of a command. What is wrong with pipeline files has codes of its own
//! ([`everfold_engine::definition`]).

use std::fmt;

macro_rules! codes {
    ($($variant:ident = $code:literal, $status:literal, $exit:literal, $title:literal, $text:literal;)*) => {
        /// What kind of error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name: `EF0201`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status of an answer.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The exit code of a command.
            #[must_use]
            pub fn exit(self) -> u8 {
                match self { $(Self::$variant => $exit,)* }
            }

            /// The kind in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means and what to do.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    NoRun = "EF0201", 404, 3, "no such run",
        "A run is named by its id, its short id (the last 8 digits), an end piece's start of at least 4 digits, `@` for the newest run, `@1` for the one before, or by the work item that its label `item` names. \
         `everfold runs` lists them. Runs live in one data folder: `--dir` or EVERFOLD_DIR names another one.";
    AmbiguousRun = "EF0202", 409, 3, "several runs fit",
        "Several short ids begin like that, and more digits tell them apart; or several runs of a work item go on, and the id of one is meant. The hint names them.";
    NoStep = "EF0203", 404, 3, "no such step",
        "A step is named by its id in the pipeline, an item of a `foreach` by STEP.ITEM, counted from 0. `everfold show RUN` lists the steps.";
    NoTask = "EF0204", 404, 3, "no such task",
        "A task is a question that is open now. `everfold inbox` lists them with their ids; a question is withdrawn when its step goes on or begins again.";
    NoPipeline = "EF0205", 404, 3, "no such pipeline",
        "A pipeline is a path (with a / or ending in .yaml) or the name of a saved or built-in one. `everfold pipeline list` shows the names.";
    NoLog = "EF0206", 404, 3, "no such attempt, or no log of it",
        "Only work that is done by a process has a log, and only after it was started. `everfold show RUN` shows rounds and attempts. Logs of ended runs are removed when they are older or more than `[logs]` says.";
    NoRoute = "EF0207", 404, 3, "no such route",
        "The path is none that this version answers. docs/reference/rest.md lists them.";
    NoMethod = "EF0208", 405, 2, "the route does not take this method",
        "The `allow` header of the answer names the methods that it takes.";
    TooLarge = "EF0209", 413, 2, "the request is too large",
        "A request body may have 4 MiB. Larger data belongs into files of the workspace.";
    Unreadable = "EF0210", 400, 2, "the request cannot be read",
        "The body is no JSON, or the query string cannot be read. The message names the place.";
    Invalid = "EF0211", 422, 2, "a field or parameter is unknown or has a wrong value",
        "Unknown fields are refused, so that a mistyped one is not silently ignored. The message names the field.";
    BadInput = "EF0212", 422, 2, "the input does not fit the pipeline's schema",
        "A run's input is checked before anything is recorded. Each error names the path in the input. `everfold pipeline show PIPELINE` prints the schema; \
         `-i key=value` sets one value, `--input-file FILE` reads a JSON object.";
    BadPipeline = "EF0213", 422, 2, "the pipeline file has errors",
        "Nothing was started. `everfold pipeline check FILE` shows every error with its place; each has a code of its own to explain.";
    KeyReused = "EF0214", 422, 2, "the idempotency key was used for something else",
        "A key recognises a repeated request. The same key with another body is a mistake of the caller: draw a new key for each new request.";
    NotYet = "EF0215", 404, 3, "the run, or the log, has not come that far",
        "Versions count a run's events from 1; `everfold events RUN` shows the last one. Positions count the events of the log; `everfold store info` tells the last.";
    SetAside = "EF0216", 409, 4, "the run is set aside",
        "Its history cannot be read or decided on, or its work brought the engine down three times in a row, so it is left alone; other runs go on. \
         The message says why; `everfold store verify` names damage, and `everfold resume RUN` tries once more when the cause is mended. \
         `everfold cancel RUN --force` ends it where it stands and gives its key and slots to others.";
    Busy = "EF0217", 503, 7, "too much waits already",
        "The engine takes only so many inputs, and so many bytes of bodies and of answers that are not taken yet, at once. Repeat a little later, with the same idempotency key.";
    Ending = "EF0218", 503, 7, "the engine is ending",
        "The process that owns the data folder ends. Repeat the command: it takes over or reaches the next owner.";
    Internal = "EF0219", 500, 7, "a mistake of Everfold",
        "Something failed that cannot fail. What was acknowledged is safe. Please report it with the message.";
    BadAnswer = "EF0220", 422, 2, "the answer, or the value, does not fit",
        "A question says what an answer may be: one of its options, every item, a schema, an expression that must hold; an edited value keeps the type of \
         the one it replaces. Nothing was recorded. `everfold show RUN` prints what is asked.";
    BadConfig = "EF0221", 422, 2, "a settings document cannot be had",
        "The pipeline's `config` names documents that are read when a run starts: the first that is there wins, missing ones are skipped, none at all \
         is refused. Relative paths count from the folder in which the run is started.";
    NoDelivery = "EF0222", 404, 3, "no such delivery",
        "A delivery of a webhook is named by the id that its sender gave it, or by at least 4 letters that only its id begins with. `everfold hooks` lists them.";
    NoSchedule = "EF0223", 404, 3, "no such schedule",
        "A schedule has the name that it was added with; PIPELINE:N is the Nth trigger of the newest saved version of a pipeline. `everfold schedule list` shows them.";
    NoSource = "EF0224", 404, 3, "no such source of webhooks",
        "Deliveries are taken from a network only for sources that the settings name: [hooks.NAME] in everfold.toml, with a reader and a secret. \
         `everfold hook deliver` takes any source.";
    NoResource = "EF0225", 422, 2, "the settings do not name the resource",
        "A step's `resources` are slots of the engine: `[resources]` in everfold.toml says how many there are of each, such as `gpu = 2`. \
         A run that needs one of another name could never go on, so it does not start. `everfold limits` lists them.";
    NoBreaker = "EF0226", 404, 3, "no such breaker",
        "A breaker is named KIND.NAME, such as agent.claude. `everfold limits` lists those that there are; `[breakers]` in everfold.toml adds one.";
    WrongType = "EF0227", 415, 2, "the body is of another type",
        "Bodies are JSON: send `Content-Type: application/json`.";
    TooSlow = "EF0228", 408, 2, "the request did not come in time",
        "A body must have come within `serve.body_seconds`, 30 unless set.";
    TooLong = "EF0229", 503, 7, "the answer takes too long",
        "An answer must begin within two minutes. A write may have been recorded: repeat it with the same idempotency key, and the answer tells.";
    NoGate = "EF0230", 404, 3, "no such gate",
        "A policy is given for a gate of the step, by the gate's id. `everfold show RUN` lists a step's gates.";
    BadPolicy = "EF0231", 422, 2, "the policy cannot judge anything",
        "A policy is an expression over `evidence` that gives true, false, a verdict or {verdict, reason, findings}. Nothing was recorded. The message names line and column.";
    NoNotice = "EF0232", 404, 3, "no such lost notice",
        "A notice that did not arrive is named RUN:VERSION:NOTICE, with the run as people name it. `everfold notices` lists them; one that was sent again or dropped is listed no more.";
    NoSubscription = "EF0233", 404, 3, "no such subscription",
        "Subscriptions stand in everfold.toml, `[[subscriptions]]`, each with a name. A process that serves reads them when it starts. `everfold notices` lists them.";
    NoticeFailed = "EF0234", 502, 1, "the test did not arrive",
        "The function was called and the notice did not arrive; the message says why. A real notice would be tried again for a day. `everfold doctor` checks the settings and secrets of each subscription.";

    HeadTooLarge = "EF0235", 431, 2, "the head of the request is too large",
        "The request line and the headers have at most 64 KiB together, and there are at most 100 headers. Ask for less in one query.";
    NoArtefact = "EF0236", 404, 3, "no such artefact",
        "An artefact is named by the hash of its bytes. `GET /runs/{run}/artefacts` lists the files that the steps of a run gave; their bytes are kept as long as the run.";
    ArtefactTooLarge = "EF0237", 413, 2, "the artefact is too large to be shown",
        "Files of up to 32 MiB are given out over REST. Larger ones lie in the folder `blobs` of the data folder, named by run and hash.";
    NoItem = "EF0238", 404, 3, "no such work item",
        "A task is named by its work item, as `ET-018`, by the number of it, or by its run. `everfold orch status --all` lists the tasks.";
    ReasonNeeded = "EF0239", 400, 2, "an override needs a reason",
        "To proceed past a blocked step, or to judge a gate by another policy, puts a person's word in the place of what the pipeline decides. It is recorded with who, why and which gates: add -m WHY, over REST `reason`. Nothing was recorded.";
    NoBudget = "EF0241", 404, 3, "the run has no such budget",
        "The pipeline of the run names its budgets under `budget`; `everfold budget RUN` lists them. One without an `id` is called `budget`.";
    BadRaise = "EF0242", 422, 2, "the budget cannot be raised so",
        "A raise adds money (--add 2.00), tokens (--tokens 50000) or time (--wall 1h) to what the budget limits. A limit that is not there cannot be raised.";
    NoOwnLimit = "EF0243", 404, 3, "the shared budget has no limits of its own",
        "`everfold budget list` shows the shared budgets with the limits that each has of its own. One scope has a budget for each period and zone: --per and --zone say which.";
    BadLimit = "EF0244", 422, 2, "the budget cannot be limited so",
        "A shared budget is limited in money (--cost 500.00), tokens (--tokens 50000) or time (--wall 40h). A zone is a name such as Europe/Berlin, and says when a day, a week or a month begins: \
         one without --per means nothing. Nothing was recorded.";
    Behind = "EF0270", 503, 7, "the read models have not come that far",
        "A read with `min_position` waits a moment for the read models to fold that event. The message says how far behind they are. Repeat a little later.";
    ViewStopped = "EF0271", 503, 7, "a read model stopped",
        "A read model met an event that it cannot fold, or data of its own that it cannot read; runs go on, and the other models answer. The log has everything: \
         `everfold projections rebuild NAME` builds it anew.";
    NoView = "EF0272", 404, 3, "no such read model",
        "`everfold projections` lists the read models.";
    Rebuilding = "EF0273", 409, 4, "the read model is being built anew already",
        "`everfold projections` shows how far it is; until it has come as far as the old one, that one answers.";
    OtherCopy = "EF0280", 409, 4, "the cursor is of another copy of the store",
        "Cursors and ids of streams name the copy of the store that gave them: another copy may have gone on otherwise. Begin again without it.";
    OtherName = "EF0281", 409, 4, "the pipeline has another name",
        "A pipeline is saved under the name that it calls itself; the message says both. Nothing was saved.";
    BadDelivery = "EF0282", 422, 2, "the delivery cannot be read",
        "The body of a delivery is the JSON that its source sends. Nothing was recorded. The message names the place.";
    BadSchedule = "EF0283", 422, 2, "the schedule cannot be used",
        "A schedule is a cron pattern, a duration or a map of the pipeline language, and has moments. Nothing was recorded; the message and `errors` say what is wrong with it.";
    BadFilter = "EF0284", 422, 2, "the filter cannot be used",
        "A filter is an expression over the fields of a list's rows that is true or false: status == 'failed' && cost > 2.0 && labels.team == 'blue'. \
         The message names line and column. docs/reference/read-models.md has the fields of each list, with their types.";
    BadQuery = "EF0285", 422, 2, "the query cannot be answered",
        "A query is one SELECT of SQLite over the tables that `everfold sql --schema` lists: it reads, and does nothing else. The message names line and column. \
         docs/reference/sql.md has the tables, the functions and the bounds.";
    QueryTooLarge = "EF0286", 422, 2, "the query takes too much",
        "A query may take 10 seconds, all queries together hold 256 MiB, and a query's text, its parts and its values have bounds (docs/reference/sql.md). The hint says what makes it smaller: columns that rows are found by, fewer runs, \
         and naming the runs where a table is folded run by run.";
    BadFields = "EF0287", 422, 2, "the fields cannot be chosen",
        "`fields` names members of a list's rows, with commas between them: id,status,failure.code. The document at /api lists them; the hint has the likely one.";

    Refused = "EF0301", 409, 4, "not possible in this state",
        "Nothing was recorded. The message says why; `everfold show RUN` says what is possible now.";
    Ended = "EF0302", 409, 4, "the run is over",
        "An ended run never changes. Start a new one.";
    Superseded = "EF0303", 409, 4, "what was asked was withdrawn",
        "The step went on or began its next round, so an answer to the former round would decide about work that is no longer there. `everfold inbox` shows what is open.";
    Decided = "EF0304", 409, 4, "it was decided otherwise",
        "The question has an answer already. The same answer again is no error, another one is refused.";
    NotAllowed = "EF0305", 403, 4, "you may not decide this",
        "The approval names who may vote: roles, or anyone but the one who started the run. \
         `everfold token create NAME --approves ROLE` makes a token that decides in a role.";
    CommentNeeded = "EF0306", 409, 4, "a comment is needed",
        "The pipeline wants a comment with this decision: add -m TEXT.";
    NotBlocked = "EF0307", 409, 4, "nothing is blocked there",
        "Only a blocked step can be unblocked. `everfold show RUN` says what the run waits for.";
    SeveralBlocked = "EF0308", 409, 4, "several steps are blocked",
        "Name the step: everfold unblock RUN STEP --decision …";
    NotPaused = "EF0309", 409, 4, "the run is not paused",
        "`resume` over REST lifts a pause. `everfold resume RUN` follows a run in any state.";
    Conflict = "EF0310", 409, 4, "another writer was first",
        "The run exists already, or the expected version is an old one. Look at the run and repeat.";
    WrongTask = "EF0311", 409, 4, "the task is of another kind",
        "An approval takes `approve`, `reject`, and `changes` where the pipeline says what follows; a question takes `answer`. `everfold inbox` shows the kind of each task.";
    KeyTaken = "EF0312", 409, 4, "another run has the key",
        "The pipeline's `key` lets one run at a time have it, and its `on_taken` says reject. The message names the run that has it. \
         Wait for its end, or cancel it.";
    NoSlot = "EF0313", 409, 4, "no slot is free",
        "The pipeline's `concurrency` lets only so many runs go on at once, and its `on_limit` says reject. Repeat later.";
    NotAdmitted = "EF0314", 409, 4, "the run is not admitted",
        "A gate of the pipeline's `admit` failed, so nothing was recorded. The message names the gate, its code and the reason.";
    Unfit = "EF0315", 409, 4, "the history does not fit the definition",
        "A fork or a restart may go on by another definition, where what has begun is there too: each step under its name with the same kind of work, each gate \
         that was judged with the same kind of probe. The message names the first event that does not fit. What has not begun, and what begins anew, \
         may differ freely: fork at an earlier moment, or restart from an earlier step.";
    CredentialRequired = "EF0316", 428, 4, "a credential is missing",
        "A gate of the pipeline's `admit` asks for credentials that the request brings: `--credential NAME` of a command, with the value in the variable \
         EVERFOLD_CREDENTIAL_NAME or in a file (NAME=@FILE), or the header Everfold-Credential-NAME over REST. The message names them. Nothing was recorded, and \
         the run that was to be gone on with is as it was. Triggers and schedules bring none.";
    CredentialRefused = "EF0317", 428, 4, "a credential is refused",
        "A gate of the pipeline's `admit` was given credentials of the request, and failed: a password is wrong, a token has expired. The message says what the \
         gate said. Nothing was recorded, and the run that was to be gone on with is as it was. Repeat it with another value.";
    NotJudged = "EF0330", 409, 4, "no gate is open there",
        "A recheck judges the gates of a step again while one of them is being judged or blocks the step. What has ended is not judged again.";
    NotSigned = "EF0331", 401, 4, "the delivery is not signed by its source",
        "A webhook's body is signed with the secret that [hooks.NAME] names, as the services of its reader do. Compare the secret at both ends; a signed time \
         must be within the tolerance. Nothing was recorded.";
    SeveralBudgets = "EF0340", 409, 4, "the run has several budgets",
        "Name the one that is to be raised: everfold budget RUN --budget NAME --add 2.00";
    OverBudget = "EF0341", 409, 4, "the run waits for a budget",
        "Paid work waits because a budget of the run is used up; there is no pause to lift. It goes on by itself when the budget's next period begins, or \
         when it is raised: everfold budget RUN --add 2.00 -m WHY";
    Changed = "EF0346", 409, 4, "it changed since you looked",
        "A vote counts for what the task showed: this one names something else (`seen`), or a file or the commit that is shown is no longer what it was when \
         people were asked. Nothing was recorded. `everfold show RUN` shows the task as it is; `everfold recheck RUN STEP` asks anew, with what lies in the \
         workspace now; a rejection and a wish for changes are taken in any case.";
    NotSetAside = "EF0370", 409, 4, "the run is not set aside",
        "`everfold cancel RUN --force` ends a run where it stands, without stopping, following up or tidying away anything by its own steps: only one that \
         cannot be gone on with. Any other is cancelled in order: `everfold cancel RUN`.";
    NothingToRetry = "EF0380", 409, 4, "nothing is to be retried",
        "A retry goes on with what failed, and in this run nothing did. `everfold restart RUN --from STEP` begins a step and all after it anew; `everfold run` \
         starts another run.";
    NoFolder = "EF0390", 404, 3, "there is no data folder",
        "A verb that changes something found no data folder, so there is nothing that it could change. `--dir` or EVERFOLD_DIR names one; without them it is \
         the nearest `.everfold` upwards. A step's process is told the folder of its engine in EVERFOLD_DIR. `everfold run PIPELINE` makes a folder.";
    InUse = "EF0401", 503, 7, "the store is in use",
        "Another process owns the data folder and does not answer on its socket. A stopped process (Ctrl-Z) or one that just ends does that. \
         Bring it to the front or end it; nothing is lost by that.";
    Damaged = "EF0402", 503, 7, "the store is damaged",
        "Stored bytes are not what was written. Nothing was changed. `everfold store verify` names every fault, `everfold store repair` says what it would do. \
         Make a copy of the folder first.";
    Missing = "EF0403", 503, 7, "the journal lacks events",
        "Events that were acknowledged are missing from the journal: a file was removed or cut. Restore it from a copy, or see `everfold store repair`, which also goes on without what no copy has any more (--give-up-behind).";
    Foreign = "EF0404", 503, 7, "the folder is no data folder",
        "The folder holds something else, so nothing was written to it. Name another one with --dir.";
    TooNew = "EF0405", 503, 7, "a newer Everfold wrote the store",
        "Use that version or a later one. Nothing was changed.";
    StoreIo = "EF0406", 503, 7, "the operating system refused",
        "A file or folder of the store cannot be read or written, or the process may not have the threads that it needs. The message says which, and why.";
    StoreIndex = "EF0407", 503, 7, "the index cannot be built",
        "The journal is sound, the index over it is not and could not be built again. `everfold store verify` tells more.";
    NotAdopted = "EF0408", 503, 7, "the store was copied or moved",
        "Two copies that both act would do everything twice, so a copy only reads until a person says that it is the one: `everfold store adopt`.";
    Full = "EF0409", 507, 7, "the disk is full",
        "Nothing of the request was recorded, and nothing is lost. An engine that runs goes on by itself when there is room; a command that found the store closed is to be repeated then.";
    ReadOnly = "EF0410", 503, 7, "the store takes no writes",
        "Reading goes on. The message says why. A journal that has no file to go on in is tried again four times a second and ends this state by itself; runs go on then. `everfold serve` ends after a minute of it, so that its supervisor (systemd, a container) notices.";
    NoAnswer = "EF0411", 503, 7, "the owner does not answer",
        "The process that owns the data folder took the connection and did not answer. Repeat the command; end that process if it hangs. Nothing is lost by that.";
    CredentialsUnkept = "EF0412", 503, 7, "credentials cannot be kept",
        "What a request brings for its run is sealed with a key of this machine and kept in the data folder until the run has ended. The message says which of \
         the two is not possible here. Nothing was recorded. `key` under [credentials] in everfold.toml names another file for the key.";
    Shared = "EF0413", 503, 7, "the copy shares its files with another folder",
        "A copy by hard links (`cp -l`) has the very files that its origin writes to. Nothing was changed. Copy the folder anew, so that each file is its own, and go on in \
         that copy. Where `store.json` is lost, the folder that such a copy was made of cannot be distinguished from it, and is refused as well.";
    NotOurs = "EF0420", 503, 7, "the folder is not this process's any more",
        "The data folder, its lock or its journal was removed, moved or replaced while a process owned it. That process writes nothing more, and nothing that lies there now is touched by it. End it; the next owner opens what lies there.";
    Verifying = "EF0421", 409, 4, "a verification goes on",
        "A verification reads the whole log and holds in memory what the index should say, so the owner does one at a time. Repeat the command when it has ended.";

    Usage = "EF0501", 400, 2, "the command is not understood",
        "`everfold help` lists the verbs, `everfold VERB --help` what a verb takes.";
    File = "EF0502", 400, 2, "a file cannot be read or written",
        "The message names the file and says why.";
    Settings = "EF0503", 422, 2, "the settings cannot be used",
        "everfold.toml holds an unknown key or a wrong value; the message has the line. `everfold doctor --settings` lists the keys, `everfold init` writes a commented file.";
    Faults = "EF0504", 409, 7, "faults were found",
        "The check found what is listed above.";
    Differs = "EF0505", 409, 1, "the replay differs",
        "Deciding again on the recorded facts does not give the recorded decisions. The message names the first place.";
    Interrupted = "EF0506", 409, 130, "interrupted",
        "The run stays as it is and can be resumed.";
    NotBuilt = "EF0507", 501, 2, "this build cannot do that",
        "The verb belongs to the command line, but this build does not hold it.";
    DemoStopped = "EF0508", 500, 1, "the demo stopped half-way",
        "The message says where and why. Its folder stays as it is, to look at. The demo needs git and sh, and room for a few megabytes in a temporary folder.";
    OrchDatabase = "EF0509", 422, 2, "ORCH's database cannot be imported",
        "The message says what the file is, or why it cannot be read. The import only reads it: where ORCH still writes, stop ORCH and repeat the import.";
    NotOnboarded = "EF0510", 409, 1, "a project lacks something",
        "The table says of each thing what is missing and what to do. `everfold orch onboard` makes what it can make; `--check` only looks.";
    ImportRefused = "EF0511", 409, 1, "imported tasks were refused at admission",
        "The histories are here. The table says of each run why it was refused: mostly Plane is not reached, or the issue is not there. Mend that, then repeat the import: it lets these tasks go on.";

    NotKnown = "EF0601", 401, 4, "not let in",
        "A request from afar needs a token: `Authorization: Bearer evf_…`, or the cookie of a session. Tokens expire and can be revoked; \
         `everfold token list` on the machine of the data folder shows them, `everfold token create NAME --role ROLE` makes one.";
    NotPermitted = "EF0602", 403, 4, "the role may not do that",
        "Viewers read, approvers decide tasks as well, operators start and steer runs, workers take work, admins do everything. \
         The refusal is recorded. `everfold token create NAME --role ROLE` makes a token of another role.";
    TooFast = "EF0603", 429, 4, "too many requests",
        "Each token, and each address without one, may call so often per second. `Retry-After` says when the next request is welcome.";
    NoToken = "EF0604", 404, 3, "no such token",
        "`everfold token list` shows them all.";
    TokenRefused = "EF0605", 422, 2, "such a token cannot be made",
        "The name of a token is given once, because events name their actor by it. Approval roles (`--approves`) are for a token that decides: an approver, an operator or an admin.";
    LinkOver = "EF0606", 401, 4, "the login link is over",
        "A login link works once and for 15 minutes. `everfold token link NAME` makes a new one.";
    NoCsrf = "EF0607", 403, 4, "the request may come from another page",
        "A write with the cookie of a session needs the header `X-CSRF-Token` with the text that `GET /api/v1/session` tells. What a browser sends for a page of another \
         host (`Origin`, `Sec-Fetch-Site`) writes nothing, whatever lets it in.";
    Listen = "EF0608", 503, 2, "the server cannot listen",
        "The address is in use, is none of this machine, or the certificate cannot be used. The message says which.";
    InTheClear = "EF0609", 422, 2, "tokens would travel in the clear",
        "Beyond this machine the server speaks TLS: give a certificate and its key, or say that a proxy in front does it.";
    Served = "EF0610", 409, 7, "the folder is being served",
        "A data folder has one owner. Its address stands in owner.json and in the message.";
    ServerAway = "EF0611", 503, 7, "the server cannot be reached",
        "There is no such host, no server listens there, or the connection broke and did not come again within --patience. Nothing was done, or, of a write that \
         was on its way, once: repeat the command when the server is there.";
    NotTrusted = "EF0612", 502, 7, "the server's certificate is not trusted",
        "Nothing was sent, the token neither. The message says what is wrong with the certificate. Of an authority that this machine does not know, \
         --ca FILE (or `ca` of a context) names the certificate.";
    NotEverfold = "EF0613", 502, 7, "no Everfold server answers there",
        "Something else took the connection, or it speaks TLS where http:// was named or the other way round. `everfold serve` prints its address.";
    OtherVersion = "EF0614", 501, 7, "the server is of another version",
        "What one of the two does not know was asked or answered. Use the command line of the server's version; `everfold context show` tells it.";
    OnFolder = "EF0615", 400, 2, "the verb works on a folder",
        "It reads or writes the files of a data folder, so it runs on the machine that has them: name the folder with --dir, without --server and --context. \
         `everfold context use local` leaves the context that is in use.";
    NoContext = "EF0616", 404, 3, "no such context",
        "A context names a server, or a folder, and how to get in. `everfold context list` shows them, `everfold context add NAME --server URL` adds one.";
    TooMany = "EF0617", 503, 7, "too many connections",
        "Every connection that may be open is busy with a request or a stream. Come again a little later; `serve.connections` in everfold.toml sets how many there may be. Connections on which nothing is asked make room by themselves.";
    TokenMade = "EF0618", 409, 4, "the token was made before",
        "A repeat of a write gets the first answer, but for this one: the text of a token is told once, and only a hash of it is kept. The repeat made nothing. \
         Where the first answer got lost, revoke the token and make one of another name.";
    NotHeld = "EF0620", 409, 4, "another worker's attempt",
        "A worker speaks of an attempt by the id and the lease that `poll` gave it, with the token that polled. This one was given to another worker, \
         or to none. `everfold workers` shows who holds what.";
    AttemptOver = "EF0621", 409, 4, "the attempt is over",
        "It was reported already, or cancelled, or its time limit passed, or its worker was not heard of for the span of the lease. \
         What a worker gives then does not count; the message says why.";
    NotRemote = "EF0622", 422, 2, "no function of workers",
        "The settings leave functions to workers by name: `[workers.functions.\"NAME\"]` in everfold.toml. `everfold workers` lists them.";
    NoFunction = "EF0623", 422, 2, "a function or profile that there is not",
        "A step or a gate names a function that neither comes with this program nor is left to workers, or an agent profile that the settings do not have, or \
         a gate calls a function that does not say that it only reads; so no run begins. Correct the name, or add `[workers.functions.\"NAME\"]` or \
         `[agents.NAME]` to everfold.toml. A program that embeds the engine brings functions of its own.";
    Broken = "EF0624", 503, 7, "the engine is broken",
        "A part of the engine that all runs need ended in a panic: a bug of Everfold. The process ends with that, because it could not be relied on. Nothing that was \
         acknowledged is lost, and processes of steps live on: the next start goes on. Please report the message.";
    OfStep = "EF0625", 403, 4, "a step's process is not let in",
        "A process that descends from a step or gate of a run is not the user at the keyboard, though it runs as the same user: the socket refuses it. `api: {role: viewer}`, \
         `approver` or `operator` in a step lets the processes of its work and of its gates in as `run:ID/STEP` while they last. A git hook and a program \
         that the engine itself called are never let in.";
    NotServed = "EF0626", 421, 4, "the host is not served here",
        "A request names the host that it means, and a page under a name that only leads here by chance must not be able to use the server. Served are names of \
         this machine (localhost), `url` and `hosts` of [serve] in everfold.toml, the names of the certificate, and, where other machines may call, addresses. \
         A proxy hands on the `Host` that it was asked for; add that name to `hosts`, or give --url.";
    NoProxy = "EF0627", 403, 4, "in the clear from another machine",
        "The server speaks no TLS itself, so from other machines it hears the proxies that it was told of and no others: `--behind-proxy ADDRESS` or `behind_proxy` of [serve] in \
         everfold.toml lists their addresses or networks. Without addresses a proxy on this machine is meant.";
}

impl Code {
    /// The code of a stable name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        let names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        assert_eq!(Code::parse("ef0201"), Some(Code::NoRun));
    }
}
