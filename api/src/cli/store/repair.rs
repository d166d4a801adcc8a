//! `store repair`: what a repair would do, or did, and how one goes on where it cannot mend all.

use everfold_engine::id::Position;
use everfold_engine::store::positions;
use everfold_engine::store::repair::{self, LaterHistory, RepairError, RepairPlan, RepairStep, RestoreFrom};
use serde_json::json;

use super::folder::{existing_folder, on_folder};
use crate::cli::context::CommandContext;
use crate::fault::{Code, Fault};
use crate::text::{count, option};

/// Says what a repair would do; does it with `--yes`.
pub(super) async fn run(context: &CommandContext, yes: bool, from: RestoreFrom) -> Result<u8, Fault> {
    let layout = existing_folder(context)?;
    let folder = layout.root().to_owned();
    let program = context.program.clone();
    if let Some(copy) = from.copy()
        && !copy.join("journal").is_dir()
    {
        return Err(Fault::new(
            Code::File,
            format!("{} has no folder journal: it is no copy of a data folder", copy.display()),
        ));
    }
    let asked = from.clone();
    let plan = on_folder(move |options| {
        let repair = if yes { repair::apply } else { repair::plan };
        repair(&folder, options, &asked).map_err(|error| refused(error, &asked, &program))
    })
    .await?;
    if context.json {
        let steps: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        let range = |(first, last): &(Position, Position)| json!({ "first": first, "last": last });
        let ranges = |ranges: &[(Position, Position)]| ranges.iter().map(range).collect::<Vec<_>>();
        let damage: Vec<String> = plan.damage.iter().map(ToString::to_string).collect();
        let later = plan
            .later
            .map(|later| json!({ "first": later.first, "last": later.last, "readable": later.readable }));
        context.out.json(&json!({
            "steps": steps, "missing_journal": plan.missing_journal, "damage": damage, "notes": plan.notes,
            "lost": ranges(&plan.lost), "held": ranges(&plan.held), "in_index": plan.in_index.as_ref().map(range),
            "later": later, "done": yes,
        }))?;
    } else {
        context.out.raw(&planned(&plan, yes, &from, &context.program));
    }
    if let Some(fault) = lost(&plan, &from, &context.program) {
        return Err(fault);
    }
    if plan.damage.is_empty() || !plan.steps.is_empty() || !plan.lost.is_empty() {
        return Ok(0);
    }
    Err(unmended(&plan, &from, &context.program))
}

/// What neither the journal nor that which was asked holds, and how one goes on.
fn lost(plan: &RepairPlan, from: &RestoreFrom, program: &str) -> Option<Fault> {
    let &(first, last) = plan.lost.first()?;
    let what = match plan.lost.len() {
        1 => positions(first, last),
        _ => "what is lost".to_owned(),
    };
    let message = match (from.source(), plan.has_index) {
        (RestoreFrom::Copy(copy), _) => format!("neither the journal nor {} holds {what}", copy.display()),
        (RestoreFrom::Index, true) => format!("neither the journal nor the index holds {what}"),
        (_, false) => "the journal does not hold what is lost, and there is no index".to_owned(),
        (_, true) => return None,
    };
    if let Some((first, last)) = plan.in_index {
        return Some(Fault::new(Code::Damaged, message).hint(format!(
            "the store is as it was; the index holds {}: {program} store repair --from-sled says what it can restore",
            positions(first, last)
        )));
    }
    // A file that is no segment has no positions, and stands where some were looked for.
    let moved = match plan.damage.iter().any(|damage| damage.offset == 0 && damage.file.exists()) {
        true => {
            "; a file that is not of this store is to be moved out of `journal` first, or `store.json` away where that \
             is the one of another store"
        }
        false => "",
    };
    Some(Fault::new(Code::Damaged, message).hint(format!(
        "the store is as it was; {program} store repair --from DIR takes it from another copy of the folder; where none \
         has it, {}{moved}",
        without(from, first)
    )))
}

/// The options of the repair that goes on without what is lost first, and what they do.
fn without(from: &RestoreFrom, lost: Position) -> String {
    let source = from.source();
    let options = options(&source.clone().up_to(Position(lost.0 - 1)));
    let taken = match source {
        RestoreFrom::Copy(copy) => format!(" takes what {} holds, and", copy.display()),
        RestoreFrom::Index => " takes what the index holds, and".to_owned(),
        RestoreFrom::Nothing | RestoreFrom::GivenUpBehind(..) => String::new(),
    };
    format!("{options}{taken} goes on without it, and without all that came after")
}

/// The options by which a repair is asked for.
fn options(from: &RestoreFrom) -> String {
    let source = match from.source() {
        RestoreFrom::Nothing | RestoreFrom::GivenUpBehind(..) => None,
        RestoreFrom::Index => Some("--from-sled".to_owned()),
        RestoreFrom::Copy(folder) => Some(option("--from", &folder.to_string_lossy())),
    };
    let end = from.given_up_behind().map(|position| format!("--give-up-behind {position}"));
    source.into_iter().chain(end).collect::<Vec<_>>().join(" ")
}

/// Why a repair was not done, and what is done about that.
fn refused(error: RepairError, from: &RestoreFrom, program: &str) -> Fault {
    let message = error.to_string();
    let there =
        from.copy().map_or_else(|| "--dir DIR".to_owned(), |copy| option("--dir", &copy.to_string_lossy()));
    let hint = match error {
        RepairError::Open(error) => return Fault::from(error),
        RepairError::Itself { .. } => {
            return Fault::new(Code::File, message).hint("name another copy of it");
        }
        RepairError::NotInJournal { .. } => {
            format!("the store is as it was; {program} store repair --from-sled says what can be restored")
        }
        RepairError::OtherEnd { from: RestoreFrom::Nothing, end, asked } if asked > end => format!(
            "the store is as it was; {program} store repair --from DIR says what a copy of the folder holds behind position \
             {end}; where none does, --give-up-behind {end} goes on without it"
        ),
        RepairError::OtherEnd { from, end, .. } => {
            format!("the store is as it was; {program} store repair {}", options(&from.up_to(end)))
        }
        RepairError::InIndex { .. } => format!(
            "the store is as it was; {program} store repair --from-sled   # says what the index can restore"
        ),
        RepairError::Lost { from, first, .. } => {
            let other = if matches!(from, RestoreFrom::Copy(_)) { "another copy" } else { "a copy" };
            format!(
                "the store is as it was; {program} store repair --from DIR takes what is missing from {other} that holds it; \
                 where none does, {}",
                without(&from, first)
            )
        }
        RepairError::Step { .. } => "put that right and repeat the command: it goes on from there".to_owned(),
        RepairError::Unfinished { .. } => {
            "nothing is lost: the next start builds the index and goes on; where it takes the folder for a copy, \
             `everfold store adopt` lets it act"
                .to_owned()
        }
        RepairError::Write(_) => {
            "the store is as it was; put that right and repeat the command".to_owned()
        }
        RepairError::OtherStore { .. } => "the store is as it was; take a copy of this store".to_owned(),
        RepairError::OtherHistory { .. } | RepairError::Unproven { .. } => format!(
            "the store is as it was; take a copy of this store that did not go on by itself, or go on there, and here no \
             more: `everfold {there} store adopt`"
        ),
        RepairError::TooMuch { .. } => format!(
            "the store is as it was; go on with the copy in its place: `everfold {there} store adopt` lets it act"
        ),
        _ => "the store is as it was; `everfold store repair --from DIR` takes what is missing from a copy that holds it"
            .to_owned(),
    };
    Fault::new(Code::Damaged, message).hint(hint)
}

/// What is to be done about damage of which neither the journal nor what was asked for says what should stand there: what was
/// not asked yet, then what no repair does.
fn unmended(plan: &RepairPlan, from: &RestoreFrom, program: &str) -> Fault {
    let index = match plan.has_index && *from.source() != RestoreFrom::Index {
        true => format!("{program} store repair --from-sled says what the index can restore; else "),
        false => String::new(),
    };
    let way = match from.copy() {
        Some(copy) => {
            let dir = option("--dir", &copy.to_string_lossy());
            format!(
                "go on with a copy that is whole: `everfold {dir} store verify` says whether that one is, and \
                 `everfold {dir} store adopt` lets it act"
            )
        }
        None => {
            "take what is damaged from a copy (--from DIR), or restore a copy without the damage".to_owned()
        }
    };
    let hint = format!(
        "{index}{way}; a file that is not of this store is to be moved out of `journal`, or `store.json` away where that is the \
         one of another store"
    );
    Fault::new(Code::Damaged, "the journal is damaged where `store repair` cannot mend it").hint(hint)
}

/// What a repair does, as a text.
fn planned(plan: &RepairPlan, done: bool, from: &RestoreFrom, program: &str) -> String {
    let mut text = String::new();
    plan.damage.iter().for_each(|damage| text.push_str(&format!("damage  {damage}\n")));
    plan.notes.iter().for_each(|note| text.push_str(&format!("note    {note}\n")));
    if let Some(journal) = plan.missing_journal.as_ref().filter(|_| !plan.lost.is_empty()) {
        text.push_str(&format!("missing {}\n", journal.display()));
    }
    for (first, last) in &plan.lost {
        text.push_str(&format!("lost    {}\n", positions(*first, *last)));
    }
    for (first, last) in &plan.held {
        text.push_str(&format!("held    {}, by {from}\n", positions(*first, *last)));
    }
    let later = from.copy().and_then(|copy| Some((plan.later?, copy.display().to_string())));
    if let Some((LaterHistory { first, last, readable }, copy)) = &later {
        let events = count(*readable, "event");
        text.push_str(&format!(
            "note    {copy} goes on behind the end of this journal: {events} at {}\n",
            positions(*first, *last)
        ));
    }
    if plan.steps.is_empty() && plan.damage.is_empty() && plan.lost.is_empty() {
        return text
            + &later.map_or_else(|| "nothing need be repaired\n".to_owned(), |(_, copy)| going_on_in(&copy));
    }
    if !plan.lost.is_empty() {
        if *from == RestoreFrom::Nothing && plan.has_index {
            text.push_str(&format!(
                "the journal alone does not hold them\n\nnext\n  {program} store repair --from-sled   # says what the index can restore\n"
            ));
        }
        return text;
    }
    if plan.steps.is_empty() {
        return text;
    }
    let word = if done { "did   " } else { "would " };
    plan.steps.iter().for_each(|step| text.push_str(&format!("{word}  {step}\n")));
    if !done {
        let mut options = options(from);
        if !options.is_empty() {
            options.push(' ');
        }
        text.push_str(&format!(
            "\nnext\n  {program} store repair {options}--yes   # copy the folder first\n"
        ));
    } else {
        text.push_str(&format!("\nnext\n  {program} store verify\n"));
        if plan.steps.iter().any(|step| matches!(step, RepairStep::CutJournal { .. })) {
            text.push_str(&format!(
                "  {program} store adopt   # lets it act: what was done behind that position is unknown to it, and may be done again\n"
            ));
        }
    }
    text
}

/// The commands with which a user takes a copy in the place of this folder: the copy has events behind the end of this
/// folder's journal, which lacks none before it.
fn going_on_in(copy: &str) -> String {
    let dir = option("--dir", copy);
    format!(
        "nothing need be repaired: the journal lacks nothing up to its end, and a repair takes nothing that comes behind\n\n\
         next\n  everfold {dir} store verify\n  \
         everfold {dir} store adopt   # to go on there, with all of that history, and here no more\n"
    )
}
