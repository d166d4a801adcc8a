//! Converts the errors of the crates below into [`Fault`].

use std::io::ErrorKind;

use everfold_engine::aggregate_store::AggregateError;
use everfold_engine::decide::{PolicyError, Refusal};
use everfold_engine::driver::{
    BudgetError, DefinitionError, HaltError, HookError, LoadError, NoticeError, PipelineError, QueryError,
    RecoverError, ScheduleError, StartError, SubmitError,
};
use everfold_engine::event::HaltScope;
use everfold_engine::notifications::NoticeRefusal;
use everfold_engine::os_error::errno;
use everfold_engine::pauses::PauseRefusal;
use everfold_engine::store::{AppendError, OpenError, ReadError};
use everfold_engine::tokens::AccessRefusal;
use everfold_projections::ReadSideError;
use rustix::io::Errno;

use super::codes::Code;
use super::problem::Fault;
use crate::access::AccessError;
use crate::credential_header::CREDENTIAL_HEADER;
use crate::text::quoted;

impl From<OpenError> for Fault {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::InUse { .. } => Code::InUse,
            OpenError::Damaged(_) => Code::Damaged,
            OpenError::Missing { .. } | OpenError::Gone { .. } => Code::Missing,
            OpenError::Foreign { .. } => Code::Foreign,
            OpenError::TooNew { .. } => Code::TooNew,
            OpenError::Io { .. } => Code::StoreIo,
            OpenError::Index(_) => Code::StoreIndex,
            OpenError::Full { .. } => Code::Full,
            OpenError::Shared { .. } => Code::Shared,
            _later => Code::StoreIo,
        };
        let hint = match code {
            Code::InUse => "end that process, or wait for it; nothing is lost by that",
            _ if matches!(error, OpenError::Gone { .. }) => {
                "nothing was written; with `journal` from a copy of the folder, or its disk mounted and its files under their own \
                 names, the next start makes the rest (the index, `store.json`), and `everfold store adopt` lets it act then; where none has it, move what is left out of the \
                 folder"
            }
            Code::Damaged | Code::Missing | Code::StoreIndex => {
                "copy the folder first; then `everfold store verify` names every fault"
            }
            Code::Foreign => {
                "nothing was written: move that out of the folder, or name another folder with --dir (EVERFOLD_DIR)"
            }
            Code::Full => "free some space and repeat; nothing was changed",
            Code::TooNew => "use the everfold that wrote it, or a later one",
            Code::Shared => {
                "copy the folder, so that each file is its own (`cp -a`, without `-l`), and go on in that copy; or remove the other names, if they are no more than a snapshot"
            }
            _ => match &error {
                OpenError::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge => {
                    "raise the limit of the size of files (`ulimit -f`, `LimitFSIZE=`)"
                }
                OpenError::Io { source, .. }
                    if matches!(errno(source), Some(Errno::MFILE | Errno::NFILE)) =>
                {
                    "raise the limit of open files (`ulimit -n`, `LimitNOFILE=`); nothing was changed"
                }
                OpenError::Io { source, .. }
                    if matches!(
                        source.kind(),
                        ErrorKind::InvalidInput | ErrorKind::NotADirectory | ErrorKind::IsADirectory
                    ) =>
                {
                    "put the file back, or move away what stands in its place; nothing was changed"
                }
                _ => "make the folder readable and writable for this user, or name another one with --dir",
            },
        };
        Self::new(code, chain(&error)).hint(hint)
    }
}

impl From<AccessError> for Fault {
    fn from(error: AccessError) -> Self {
        let code = match error {
            AccessError::Refused(AccessRefusal::NoToken(_)) => Code::NoToken,
            AccessError::Refused(_) => Code::TokenRefused,
            AccessError::MadeBefore(ref name) => {
                return Self::new(Code::TokenMade, error.to_string()).hint(format!(
                    "was its text lost? `everfold token revoke {name}`, and make one of another name"
                ));
            }
            // The one who asks is known; the token that they name is at its end.
            AccessError::TokenOver(_) => {
                return Self::new(Code::Refused, error.to_string()).hint(
                    "`everfold token list` shows which are good; `everfold token create NAME` makes another",
                );
            }
            AccessError::NotLetIn(_) => Code::NotKnown,
            AccessError::LinkOver => Code::LinkOver,
            AccessError::Aggregate(error) => return error.into(),
        };
        Self::new(code, error.to_string())
    }
}

impl From<AggregateError> for Fault {
    fn from(error: AggregateError) -> Self {
        match error {
            AggregateError::Read(error) => error.into(),
            AggregateError::Append(error) => error.into(),
            unreadable => Self::new(Code::Damaged, unreadable.to_string()),
        }
    }
}

impl From<NoticeError> for Fault {
    fn from(error: NoticeError) -> Self {
        match error {
            NoticeError::Aggregate(error) => error.into(),
            NoticeError::Refused(refusal @ NoticeRefusal::TooMany) => {
                Self::new(Code::Busy, refusal.to_string())
            }
            refused => {
                Self::new(Code::Refused, refused.to_string()).hint("`everfold notices` lists what is lost")
            }
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Self::new(code_of(&error), chain(&error))
    }
}

fn code_of(error: &ReadError) -> Code {
    match error {
        ReadError::Damaged(_) | ReadError::DamagedStream { .. } | ReadError::Unlinked { .. } => Code::Damaged,
        ReadError::Index(_) => Code::StoreIndex,
        ReadError::IndexInUse(_) => Code::InUse,
        full if full.is_full() => Code::Full,
        ReadError::Closed => Code::Ending,
        _io => Code::StoreIo,
    }
}

impl From<ReadSideError> for Fault {
    fn from(error: ReadSideError) -> Self {
        let fault = |code| Self::new(code, chain(&error));
        match &error {
            ReadSideError::Behind { .. } => {
                fault(Code::Behind).hint("repeat a little later, or without min_position")
            }
            ReadSideError::Log { source, .. } => fault(code_of(source)).hint(
                "runs go on; `everfold store verify` names every fault, `everfold store repair` what helps",
            ),
            ReadSideError::Stopped { name, .. } | ReadSideError::Fold { name, .. } => {
                fault(Code::ViewStopped).hint(format!("build it anew: everfold projections rebuild {name}"))
            }
            ReadSideError::Unknown(_) => fault(Code::NoView).hint("`everfold projections` lists them"),
            ReadSideError::Rebuilding(_) => {
                fault(Code::Rebuilding).hint("`everfold projections` shows how far it is")
            }
            ReadSideError::Closed => fault(Code::Ending),
            _later => fault(Code::Internal),
        }
    }
}

/// Where in the text of a policy something is wrong, and what.
pub(crate) fn policy_place(error: &PolicyError) -> serde_json::Value {
    serde_json::json!({ "line": error.line, "column": error.column, "message": error.message })
}

impl From<AppendError> for Fault {
    fn from(error: AppendError) -> Self {
        let code = match &error {
            AppendError::WrongExpectedVersion { .. }
            | AppendError::WrongPreviousHash { .. }
            | AppendError::Fenced { .. } => Code::Conflict,
            AppendError::DedupConflict => Code::KeyReused,
            AppendError::TooLarge { .. } => Code::TooLarge,
            AppendError::Full => Code::Full,
            AppendError::ReadOnly(_) => Code::ReadOnly,
            AppendError::NotOurs(_) => Code::NotOurs,
            AppendError::Closed => Code::Ending,
            _other => Code::StoreIo,
        };
        Self::new(code, chain(&error))
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::AlreadyStarted => Code::Conflict,
            Refusal::NotStarted => Code::NoRun,
            Refusal::Ended(_) => Code::Ended,
            Refusal::NotSetAside => Code::NotSetAside,
            Refusal::InvalidInput(_) => Code::BadInput,
            Refusal::UnknownStep(_) | Refusal::FinishStep(_) => Code::NoStep,
            Refusal::NotAsking(_) | Refusal::OtherOpen { .. } => Code::NoTask,
            Refusal::Superseded(_) | Refusal::Expired(_) => Code::Superseded,
            Refusal::Decided { .. } | Refusal::DecidedOn { .. } | Refusal::Answered(_) => Code::Decided,
            Refusal::WrongKind { .. } | Refusal::NotOffered { .. } => Code::WrongTask,
            Refusal::InvalidAnswer { .. } | Refusal::InvalidEdit { .. } => Code::BadAnswer,
            Refusal::WrongRole { .. }
            | Refusal::SelfApproval(_)
            | Refusal::FromBelow(_)
            | Refusal::OwnDecision { .. }
            | Refusal::ByHand { .. } => Code::NotAllowed,
            Refusal::CommentNeeded { .. } => Code::CommentNeeded,
            Refusal::Changed { .. } => Code::Changed,
            Refusal::NotBlocked(_) | Refusal::NothingBlocked => Code::NotBlocked,
            Refusal::NothingInterrupted => Code::NotPaused,
            Refusal::SeveralBlocked(_) => Code::SeveralBlocked,
            Refusal::NotPaused | Refusal::Halted(_) => Code::NotPaused,
            Refusal::NoBudgets | Refusal::UnknownBudget { .. } => Code::NoBudget,
            Refusal::SeveralBudgets(_) => Code::SeveralBudgets,
            Refusal::BadRaise { .. } => Code::BadRaise,
            Refusal::OverBudget(_) => Code::OverBudget,
            Refusal::BadSignal(_) => Code::Invalid,
            Refusal::Credential { .. } => Code::Invalid,
            Refusal::TooDeep { .. } => Code::TooLarge,
            Refusal::TooLarge { .. } | Refusal::TooMany { .. } => Code::TooLarge,
            Refusal::Start(_) => Code::BadInput,
            Refusal::NothingToRetry(_) => Code::NothingToRetry,
            Refusal::Unfit { .. } | Refusal::OtherPipeline { .. } => Code::Unfit,
            Refusal::NotJudged(_) => Code::NotJudged,
            Refusal::UnknownGate { .. } => Code::NoGate,
            Refusal::BadPolicy { .. } => Code::BadPolicy,
            Refusal::ReasonNeeded { .. } => Code::ReasonNeeded,
            Refusal::Config { .. } => Code::BadConfig,
            Refusal::KeyTaken { .. } => Code::KeyTaken,
            Refusal::NoSlot { .. } => Code::NoSlot,
            Refusal::NotAdmitted { .. } => Code::NotAdmitted,
            Refusal::CredentialRequired { .. } => Code::CredentialRequired,
            Refusal::CredentialRefused { .. } => Code::CredentialRefused,
            _other => Code::Refused,
        };
        let fault = Self::new(code, refusal.to_string());
        match refusal {
            Refusal::InvalidInput(errors) => Self::new(code, "the input does not fit the pipeline's schema")
                .errors(
                    errors.into_iter().map(|message| serde_json::json!({ "message": message })).collect(),
                ),
            Refusal::InvalidAnswer { problems, .. } => fault.errors(
                problems.into_iter().map(|message| serde_json::json!({ "message": message })).collect(),
            ),
            Refusal::BadPolicy { error, .. } => fault.errors(vec![policy_place(&error)]).hinted(error.hint),
            Refusal::CommentNeeded { .. } => fault.hint("add -m TEXT"),
            Refusal::ReasonNeeded { .. } => fault.hint("add -m WHY; over REST `reason`"),
            Refusal::Changed { what, .. } => fault
                .errors(what.into_iter().map(|message| serde_json::json!({ "message": message })).collect())
                .hint("look again: everfold show RUN; `everfold recheck RUN STEP` asks anew"),
            Refusal::SeveralBlocked(_) => fault.hint("name the step"),
            Refusal::SeveralBudgets(_) => fault.hint("name one with --budget"),
            Refusal::OverBudget(_) => fault.hint("everfold budget RUN --add 2.00 -m WHY"),
            Refusal::BadRaise { .. } => fault.hint("`everfold budget RUN` shows what it limits"),
            Refusal::TooDeep { .. } => fault.hint("give it as text, or as a file that is named"),
            Refusal::Credential { .. } => fault.hint(
                "choose another; where it is none, add the pattern to `except` under [redact] in everfold.toml",
            ),
            Refusal::Ended(_) => fault.hint(
                "an ended run never changes: `everfold show RUN` shows it, `everfold run PIPELINE` starts another",
            ),
            Refusal::NotSetAside => fault.hint("everfold cancel RUN, without --force"),
            Refusal::NothingToRetry(_) => {
                fault.hint("everfold restart RUN --from STEP begins a step and all after it anew")
            }
            Refusal::UnknownStep(_) => fault.hint("`everfold show RUN` lists its steps"),
            Refusal::BegunBefore(_) => {
                fault.hint("an earlier moment may be forked: `everfold events RUN` lists them")
            }
            Refusal::NothingInterrupted => {
                fault.hint("everfold interrupt RUN stops what runs; then everfold resume RUN -p TEXT")
            }
            Refusal::NotBlocked(_) | Refusal::NothingBlocked => {
                fault.hint("`everfold show RUN` says what it waits for")
            }
            Refusal::Halted(HaltScope::Engine) => fault.hint("everfold resume --all"),
            Refusal::Halted(HaltScope::Pipeline(name)) => {
                fault.hint(format!("everfold resume --pipeline {name}"))
            }
            Refusal::Needed { .. } => fault.hint(
                "`everfold unblock RUN STEP --decision proceed --output JSON` gives the step the output that is read",
            ),
            Refusal::WrongRole { roles, .. } => fault.hinted(roles.first().map(|role| {
                let role = quoted(role);
                format!("`everfold token create NAME --approves {role}` makes a token that decides in this role")
            })),
            Refusal::FromBelow(_) => fault.hint("a person decides, or a run of its own"),
            Refusal::OwnDecision { .. } => fault.hint("another person decides"),
            Refusal::ByHand { .. } => fault.hint("`everfold approve` decides under your own name"),
            Refusal::SelfApproval(_) => fault.hint("another person decides; EVERFOLD_USER says who types"),
            Refusal::Superseded(_)
            | Refusal::Expired(_)
            | Refusal::Decided { .. }
            | Refusal::DecidedOn { .. } => {
                fault.hint("`everfold inbox` lists what is open")
            }
            Refusal::KeyTaken { holder, .. } => {
                let short = holder.short();
                fault.hint(format!("everfold show {short}, or everfold cancel {short}"))
            }
            Refusal::Unfit { misfits, .. } => {
                // Of one alone the message says all.
                let all = misfits.iter().filter(|_| misfits.len() > 1);
                let said = all.map(
                    |it| serde_json::json!({ "step": it.step, "gate": it.gate, "message": it.to_string() }),
                );
                fault
                    .errors(said.collect())
                    .hint("fork at an earlier moment, or restart from an earlier step")
            }
            Refusal::NotAdmitted { gate, code, reason } => {
                fault.errors(vec![serde_json::json!({ "gate": gate, "code": code, "message": reason })])
            }
            Refusal::CredentialRequired { gate, missing } => {
                let hint = bring(&missing);
                let each = missing.iter().map(|name| credential(&gate, name, "credential_required", None));
                fault.errors(each.collect()).hint(hint)
            }
            Refusal::CredentialRefused { gate, names, reason, .. } => {
                let each = names.iter().map(|name| credential(&gate, name, "credential_refused", Some(&reason)));
                fault.errors(each.collect()).hint("bring another value")
            }
            _other => fault,
        }
    }
}

/// How credentials are brought.
fn bring(names: &[String]) -> String {
    let options: Vec<String> = names.iter().map(|name| format!("--credential {name}")).collect();
    let headers: Vec<String> = names.iter().map(|name| format!("{CREDENTIAL_HEADER}{name}")).collect();
    let word = if names.len() == 1 { "the header" } else { "the headers" };
    format!("bring it: {}; over REST {word} {}", options.join(" "), headers.join(", "))
}

/// What a gate says of a credential, for programs.
fn credential(gate: &str, name: &str, code: &str, reason: Option<&str>) -> serde_json::Value {
    let message = reason.unwrap_or("the request does not bring it");
    let header = format!("{CREDENTIAL_HEADER}{name}");
    serde_json::json!({ "gate": gate, "credential": name, "header": header, "code": code, "message": message })
}

impl From<SubmitError> for Fault {
    fn from(error: SubmitError) -> Self {
        let code = match &error {
            SubmitError::Refused(refusal) => return refusal.clone().into(),
            SubmitError::NotFound(_) => Code::NoRun,
            SubmitError::SetAside { .. } => Code::SetAside,
            SubmitError::Busy => Code::Busy,
            SubmitError::KeyReused => Code::KeyReused,
            SubmitError::Full => Code::Full,
            SubmitError::ShuttingDown => Code::Ending,
            SubmitError::Store(_) => Code::StoreIo,
            _later => Code::Internal,
        };
        Self::new(code, chain(&error))
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Refused(refusal) => refusal.into(),
            StartError::Submit(error) => error.into(),
            StartError::Credentials(error) => {
                Self::new(Code::CredentialsUnkept, error.message).hint(error.hint)
            }
            StartError::Exists(_) => Self::new(Code::Conflict, error.to_string()),
            StartError::UnknownResource { ref known, .. } => {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let hint =
                    format!("[resources] in everfold.toml names how many there are of each: {known} so far");
                Self::new(Code::NoResource, error.to_string()).hint(hint)
            }
            StartError::UnknownWork(ref unknown) => {
                let hint = unknown.failure.hint.clone();
                Self::new(Code::NoFunction, error.to_string()).hinted(hint)
            }
            other => Self::new(Code::StoreIo, chain(&other)),
        }
    }
}

impl From<HaltError> for Fault {
    fn from(error: HaltError) -> Self {
        match error {
            HaltError::Refused(PauseRefusal::NotHalted(_)) => {
                Self::new(Code::NotPaused, error.to_string()).hint("`everfold doctor` lists what is paused")
            }
            HaltError::Refused(PauseRefusal::TooLarge) => Self::new(Code::TooLarge, error.to_string()),
            HaltError::Refused(PauseRefusal::TooMany) => Self::new(Code::Refused, error.to_string()),
            HaltError::Read(error) => error.into(),
            HaltError::Append(error) => error.into(),
            other => Self::new(Code::StoreIo, chain(&other)),
        }
    }
}

impl From<PipelineError> for Fault {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::NotFound(_) | PipelineError::Name(_) | PipelineError::NoFile { .. } => {
                Self::new(Code::NoPipeline, error.to_string())
            }
            PipelineError::Bad(problems) => Self::new(Code::BadPipeline, problems.summary())
                .errors(problems.0.iter().map(|problem| serde_json::json!(problem)).collect()),
            PipelineError::Read(error) => error.into(),
            PipelineError::Definition(DefinitionError::Append(error)) => error.into(),
            PipelineError::Definition(DefinitionError::Read(error)) => error.into(),
            PipelineError::Definition(DefinitionError::TooLarge(_)) => {
                Self::new(Code::TooLarge, chain(&error))
            }
            other => Self::new(Code::StoreIo, chain(&other)),
        }
    }
}

impl From<HookError> for Fault {
    fn from(error: HookError) -> Self {
        let code = match &error {
            HookError::BadSource(_) | HookError::BadId | HookError::Credential(_) => Code::Invalid,
            HookError::Ambiguous(_) => Code::NoDelivery,
            HookError::TooLarge { .. } => Code::TooLarge,
            HookError::TooDeep { .. } => Code::TooLarge,
            HookError::NotFound(_) => Code::NoDelivery,
            HookError::BeingHandled => Code::Refused,
            HookError::KeyReused => Code::KeyReused,
            HookError::ShuttingDown => Code::Ending,
            _store => Code::StoreIo,
        };
        let fault = Self::new(code, error.to_string());
        match error {
            HookError::NotFound(_) => fault.hint("`everfold hooks` lists what was delivered"),
            HookError::Ambiguous(_) => fault.hint("type more of the id"),
            _said => fault,
        }
    }
}

impl From<ScheduleError> for Fault {
    fn from(error: ScheduleError) -> Self {
        let code = match &error {
            ScheduleError::BadName(_) => Code::Invalid,
            ScheduleError::Bad(_) => Code::BadSchedule,
            ScheduleError::NotFound(_) => Code::NoSchedule,
            ScheduleError::Exists(_)
            | ScheduleError::Changed(_)
            | ScheduleError::OfPipeline { .. }
            | ScheduleError::AlreadySo(_) => Code::Refused,
            ScheduleError::KeyReused => Code::KeyReused,
            ScheduleError::Busy(_) => Code::Busy,
            ScheduleError::ShuttingDown => Code::Ending,
            _store => Code::StoreIo,
        };
        let fault = Self::new(code, error.to_string());
        match error {
            ScheduleError::Exists(name) => {
                fault.hint(format!("everfold schedule update {name}, or another name"))
            }
            ScheduleError::OfPipeline { name, .. } => fault.hint(format!(
                "save a version of the pipeline without it, or everfold schedule pause {name}"
            )),
            ScheduleError::NotFound(_) => fault.hint("`everfold schedule list` shows them"),
            _said => fault,
        }
    }
}

impl From<BudgetError> for Fault {
    fn from(error: BudgetError) -> Self {
        let code = match &error {
            BudgetError::BadScope | BudgetError::Credential(_) | BudgetError::LongReason => Code::Invalid,
            BudgetError::KeyReused => Code::KeyReused,
            BudgetError::ShuttingDown => Code::Ending,
            _store => Code::StoreIo,
        };
        Self::new(code, error.to_string())
    }
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        let code = match &error {
            QueryError::NotFound(_) => Code::NoRun,
            QueryError::SetAside { .. } => Code::SetAside,
            QueryError::Full(_) => Code::Full,
            QueryError::ShuttingDown => Code::Ending,
            QueryError::Store(_) => Code::StoreIo,
            QueryError::Busy(_) => Code::Busy,
            QueryError::Panicked(_) => Code::Internal,
            _later => Code::Internal,
        };
        Self::new(code, chain(&error))
    }
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::NotFound(_) => Self::new(Code::NoRun, error.to_string()),
            LoadError::NotYet { run, wanted, last } => {
                let what = format!("run {} is at version {last}, not yet at {wanted}", run.short());
                Self::new(Code::NotYet, what)
                    .hint(format!("`everfold events {}` shows its versions", run.short()))
            }
            LoadError::Store(error) => error.into(),
            full if full.is_full() => Self::new(Code::Full, chain(&full)),
            other => Self::new(Code::SetAside, chain(&other)),
        }
    }
}

impl From<RecoverError> for Fault {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Store(error) => error.into(),
            RecoverError::NotFound(_) => Self::new(Code::NoRun, error.to_string()),
            other => Self::new(Code::Ending, chain(&other)),
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Transparent errors repeat what their cause says.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
