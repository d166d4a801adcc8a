//! Looks a folder through for what a repair would do.
//!
//! Law: changes nothing: the index is looked at in a copy, since opening sled changes its files.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::{Path, PathBuf};

use super::other_copy;
use super::other_copy::{BatchDigests, CopiedBatch, CopiedBatches, OwnJournal};
use super::steps::{RepairError, RepairPlan, RepairStep, RestoreFrom};
use super::stream_chains::{Differing, Range, StreamChains, differing, is_within};
use crate::error::{Damage, OpenError};
use crate::index_copy::{IndexCopy, NotCopied};
use crate::journal::salvage::{SalvageItem, WalkEnd};
use crate::journal::tail::ExpectedJournal;
use crate::journal::{recover, salvage};
use crate::manifest;
use crate::manifest::{IndexState, Manifest};
use crate::options::SledOptions;
use crate::paths::{JOURNAL_FOLDER, index_folder, journal_folder};
use crate::record;
use crate::sled::Index;
use everfold_base::envelope::StreamId;
use everfold_base::id::{Position, Version};
use everfold_base::time::Timestamp;

/// What was found.
pub(super) struct Findings {
    pub(super) plan: RepairPlan,
    pub(super) manifest: Option<Manifest>,
    /// The store that the other copy is of, where it was asked and says so.
    pub(super) store: Option<u128>,
    /// Batches that the new journal takes from elsewhere, by their first positions.
    pub(super) restored: BTreeMap<Position, RestoredBatch>,
    /// The index, where it was asked.
    pub(super) index: Option<IndexCopy>,
}

/// A batch that is not taken from the journal.
pub(super) struct RestoredBatch {
    pub(super) stream: StreamId,
    pub(super) version: Version,
    /// When it was committed, and its bytes, where another copy has it; `None`: the index has it.
    pub(super) copied: Option<(Timestamp, Vec<u8>)>,
}

/// Looks a folder through.
pub(super) fn look(
    folder: &Path,
    options: &SledOptions,
    from: &RestoreFrom,
) -> Result<Findings, RepairError> {
    let files = options.files.as_ref();
    let manifest = manifest::read_known(folder)?.and_then(Result::ok);
    let expected = manifest::expected(folder, manifest.as_ref())?;
    let journal = journal_folder(folder);
    let has_segment = !recover::list(&journal)?.0.is_empty();
    let source = from.source();
    let (seen, walked) = SeenJournal::of(folder, options, expected, source)?;
    let SeenJournal { mut plan, whole, chains, digests, is_unfinished } = seen;
    if let Some(what) = manifest.as_ref().and_then(|manifest| walked.other_than(&manifest.journal)) {
        let file = folder.join(manifest::FILE_NAME);
        plan.damage.push(Damage { file, offset: 0, what, positions: None });
    }
    let index = match copied(folder, options) {
        Ok(index) => index,
        // What was closed in order is no further than the manifest says; it is compared where that is possible.
        Err(_) if *source != RestoreFrom::Index && is_as_closed(folder, manifest.as_ref()) => None,
        Err(error) => return Err(error),
    };
    let described = manifest.as_ref().map(|manifest| manifest.journal.position);
    let indexed = index.as_ref().map(|copy| copy.index.held());
    let mut end = [whole.last().map(|(_, last)| *last), described, indexed].into_iter().flatten().max();
    let is_end_known = expected.closed_at.is_some() && expected.closed_at == end;
    if walked.lacks_end && !is_end_known {
        end = end.max(Some(walked.next));
    }
    let end = end.unwrap_or(Position::ZERO);
    let readable = index.as_ref().map(|copy| copy.index.as_ref()).filter(|index| index.is_readable());
    let differing = match readable {
        Some(index) => differing(files, &journal, expected, index)?,
        None => Differing::default(),
    };
    let mut missing = gaps(&whole, end);
    let mut streams = chains.streams();
    let broken = chains.into_broken();
    name(&mut plan, differing.damage, &broken);
    let mut store = None;
    let found = match (source, readable) {
        (RestoreFrom::Index, Some(index)) => {
            streams.extend(index_streams(index));
            FoundBatches::in_index(index, &streams, &missing, differing.ranges)
        }
        (RestoreFrom::Copy(copy), _) => {
            let is_cut = missing.last().is_some_and(|(_, last)| *last == end);
            // A folder without a segment is none of a store that ends somewhere.
            let is_known = described.is_some() || indexed.is_some() || !has_segment;
            let may_go_on = !is_end_known && (is_cut || is_unfinished || !is_known);
            let digests = digests.unwrap_or_default();
            let broken = broken.last().map(|(first, _)| *first);
            let ours = OwnJournal { folder, digests, missing: &missing, broken, end, may_go_on };
            let copied = other_copy::compare(files, copy, expected, &ours)?;
            (plan.later, store) = (copied.later, copied.store);
            let last = copied.missing.values().map(|batch| batch.last).max();
            missing = gaps(&whole, last.map_or(end, |last| last.max(end)));
            FoundBatches::in_copy(copied)
        }
        _nowhere => FoundBatches::default(),
    };
    let kept_as = journal.exists().then(|| unused(folder));
    let restored = found.restored(&mut plan, missing, broken, |restored| RepairStep::RewriteJournal {
        kept_as: kept_as.clone(),
        restored,
        from: source.clone(),
    });
    if *source != RestoreFrom::Index && *from != RestoreFrom::Nothing && readable.is_some() {
        plan.in_index = in_index(folder, options, &plan.lost)?;
    }
    let index = index.filter(|_| *source == RestoreFrom::Index);
    let mut findings = Findings { plan, manifest, store, restored, index };
    if let Some(asked) = from.given_up_behind() {
        findings.give_up(asked, source, whole, kept_as)?;
    }
    Ok(findings)
}

/// What the index holds of what is lost first, where it is not asked itself.
fn in_index(folder: &Path, options: &SledOptions, lost: &[Range]) -> Result<Option<Range>, RepairError> {
    let Some(&(first, last)) = lost.first() else { return Ok(None) };
    let with_index = look(folder, options, &RestoreFrom::Index)?.plan;
    let held = with_index.lost.first().map_or(last, |(lost, _)| Position(lost.0 - 1));
    Ok((held >= first).then(|| (first, held.min(last))))
}

impl Findings {
    /// Gives up what comes behind a position, which is the last one before what is lost.
    fn give_up(
        &mut self,
        asked: Position,
        source: &RestoreFrom,
        whole: Vec<Range>,
        kept_as: Option<PathBuf>,
    ) -> Result<(), RepairError> {
        let plan = &mut self.plan;
        if let Some((first, last)) = plan.in_index {
            return Err(RepairError::InIndex { first, last });
        }
        let Some(&(first, _)) = plan.lost.first() else { return Ok(()) };
        if asked.next() != first {
            let end = Position(first.0 - 1);
            return Err(RepairError::OtherEnd { from: source.clone(), end, asked });
        }
        let (lost, mut restored) = (mem::take(&mut plan.lost), mem::take(&mut plan.held));
        let readable = joined(whole.into_iter().chain(restored.iter().copied()));
        let behind = readable.iter().filter(|(_, to)| *to >= first);
        let last = lost.iter().chain(&readable).map(|(_, to)| *to).max().unwrap_or(first);
        let readable = behind.map(|(from, to)| to.0 - from.0.max(first.0) + 1).sum();
        restored.retain(|(_, to)| *to < first);
        self.restored.retain(|position, _| *position < first);
        let (given_up, from) = ((first, last), source.clone());
        exchange(plan, RepairStep::CutJournal { kept_as, given_up, readable, restored, from });
        Ok(())
    }
}

/// Makes a step that puts another journal in the place of the old one all that is done: the index, where there is one, is that
/// of the old journal.
fn exchange(plan: &mut RepairPlan, step: RepairStep) {
    plan.steps = vec![step];
    if plan.has_index {
        plan.steps.push(RepairStep::RebuildIndex);
    }
}

/// What the walk through a journal shows.
struct SeenJournal {
    plan: RepairPlan,
    /// The positions that can be read.
    whole: Vec<Range>,
    chains: StreamChains,
    /// The batches, where they are compared with those of a copy.
    digests: Option<BatchDigests>,
    /// Bytes stand behind its last group that belong to none.
    is_unfinished: bool,
}

impl SeenJournal {
    /// That of a folder's journal, and where the walk ended.
    fn of(
        folder: &Path,
        options: &SledOptions,
        expected: ExpectedJournal,
        from: &RestoreFrom,
    ) -> Result<(Self, WalkEnd), RepairError> {
        let journal = journal_folder(folder);
        let mut seen = Self {
            plan: RepairPlan {
                has_index: index_folder(folder).exists(),
                missing_journal: (!journal.exists()).then(|| journal.clone()),
                ..RepairPlan::default()
            },
            whole: Vec::new(),
            chains: StreamChains::default(),
            digests: matches!(from, RestoreFrom::Copy(_)).then(BatchDigests::default),
            is_unfinished: false,
        };
        let last = Position(u64::MAX - 1);
        let walked = salvage::walk(options.files.as_ref(), &journal, expected, last, &mut |found| {
            seen.take(found);
            Ok(())
        })?;
        Ok((seen, walked))
    }

    fn take(&mut self, found: SalvageItem<'_>) {
        let plan = &mut self.plan;
        match found {
            SalvageItem::Group(group, place) => {
                let is_whole = match self.whole.as_slice() {
                    [] => group.first_position == Position::FIRST,
                    [(first, end)] => *first == Position::FIRST && end.next() == group.first_position,
                    _more => false,
                };
                let (readable, damage) = self.chains.show(&group, &place, is_whole);
                if let Some(digests) = &mut self.digests {
                    digests.add(&group, &place);
                }
                match (readable, self.whole.last_mut()) {
                    (Some((first, last)), Some((_, end))) if end.next() == first => *end = last,
                    (readable, _) => self.whole.extend(readable),
                }
                plan.damage.extend(damage);
            }
            SalvageItem::Lost(damage) => plan.damage.push(damage),
            SalvageItem::Lengths { damage, is_readable } => {
                let step = RepairStep::RewriteSegment { file: damage.file.clone() };
                if is_readable && !plan.steps.contains(&step) {
                    plan.steps.push(step);
                }
                plan.damage.push(damage);
            }
            SalvageItem::Padding(torn) => {
                plan.damage.push(torn.between_groups());
                plan.steps.push(RepairStep::CutTail { file: torn.path, from: torn.from, to: torn.to });
            }
            // They concern nothing: compression leaves the ones out, and the next start writes the others anew.
            SalvageItem::Behind(_) | SalvageItem::Unused(_) => {}
            SalvageItem::Unfinished(torn) => {
                self.is_unfinished = true;
                plan.steps.push(RepairStep::CutTail { file: torn.path, from: torn.from, to: torn.to });
            }
        }
    }
}

/// The streams of an index. What cannot be read of it is damaged there, and says nothing of the rest.
fn index_streams(index: &Index) -> BTreeSet<StreamId> {
    let mut streams = BTreeSet::new();
    let _readable = index.each_head(&mut |stream, _head| {
        streams.insert(stream);
    });
    streams
}

/// What was found elsewhere of the positions that the journal lacks, or has otherwise.
#[derive(Default)]
struct FoundBatches {
    batches: BTreeMap<Position, RestoredBatch>,
    /// The positions of each of them, in their order.
    filled: Vec<Range>,
    /// The positions of those that take the place of other ones.
    replaced: Vec<Range>,
}

impl FoundBatches {
    /// What of it the new journal takes in the place of what is missing. Puts into the plan what is lost all the same, else
    /// the step that `rewrite` makes of the positions that are restored.
    fn restored(
        self,
        plan: &mut RepairPlan,
        missing: Vec<Range>,
        broken: Vec<Range>,
        rewrite: impl FnOnce(Vec<Range>) -> RepairStep,
    ) -> BTreeMap<Position, RestoredBatch> {
        let Self { mut batches, filled, replaced } = self;
        // Where nothing differs both have the same.
        let lost = if replaced.is_empty() { broken } else { Vec::new() };
        let gaps = joined(missing.into_iter().chain(replaced));
        batches.retain(|position, _| is_within(*position, &gaps));
        plan.lost = joined(gaps_within(&gaps, &filled).into_iter().chain(lost));
        if !plan.lost.is_empty() {
            plan.held = gaps_within(&gaps, &plan.lost);
        }
        if plan.lost.is_empty() && !gaps.is_empty() {
            exchange(plan, rewrite(gaps));
        }
        batches
    }

    /// In the index, which has other batches than the journal at `differing`.
    fn in_index(
        index: &Index,
        streams: &BTreeSet<StreamId>,
        missing: &[Range],
        differing: Vec<Range>,
    ) -> Self {
        let wanted = joined(missing.iter().copied().chain(differing.iter().copied()));
        let mut batches = BTreeMap::new();
        for stream in streams {
            let _readable = index.each_place_of(stream, &mut |position, stream, version| {
                if is_within(position, &wanted) {
                    batches.insert(position, RestoredBatch { stream, version, copied: None });
                }
            });
        }
        // A batch covers more than its first position.
        let mut filled: Vec<Range> = Vec::new();
        for (position, batch) in &batches {
            let Ok(Some((_, bytes))) = index.batch(&batch.stream, batch.version) else { continue };
            if let Ok((head, _)) = record::decode_outline(&bytes) {
                filled.push((*position, Position(position.0 + u64::from(head.count) - 1)));
            }
        }
        // In their order, as the positions were.
        let is_filled = |range: &Range| filled.binary_search(range).is_ok();
        let replaced = differing.into_iter().filter(is_filled).collect();
        Self { batches, filled, replaced }
    }

    /// In another copy of the store.
    fn in_copy(copied: CopiedBatches) -> Self {
        let range = |(first, batch): (&Position, &CopiedBatch)| (*first, batch.last);
        let replaced: Vec<Range> = copied.differing.iter().map(range).collect();
        let mut filled: Vec<Range> = copied.missing.iter().map(range).chain(replaced.clone()).collect();
        filled.sort_unstable();
        let batches = copied.missing.into_iter().chain(copied.differing).map(|(position, batch)| {
            let CopiedBatch { stream, version, committed_at, bytes, .. } = batch;
            (position, RestoredBatch { stream, version, copied: Some((committed_at, bytes)) })
        });
        Self { batches: batches.collect(), filled, replaced }
    }
}

/// Adds what the index says otherwise to the damage, but for what was named as breaking its chain.
fn name(plan: &mut RepairPlan, differing: Vec<Damage>, broken: &[Range]) {
    let is_named = |damage: &Damage| damage.positions.is_some_and(|range| broken.contains(&range));
    plan.damage.extend(differing.into_iter().filter(|damage| !is_named(damage)));
}

/// Whether the index has the files that it was closed with.
fn is_as_closed(folder: &Path, manifest: Option<&Manifest>) -> bool {
    let Some(IndexState::Closed(files)) = manifest.map(|manifest| &manifest.index) else { return false };
    files.are_the_same(&index_folder(folder))
}

/// A copy of the index; `None` where there is none, or none that can be opened.
fn copied(folder: &Path, options: &SledOptions) -> Result<Option<IndexCopy>, RepairError> {
    let path = index_folder(folder);
    if !path.exists() {
        return Ok(None);
    }
    match IndexCopy::make(options.files.as_ref(), folder, options.cache_bytes) {
        Ok(copy) => Ok(Some(copy)),
        // That says nothing of the index, which may hold what the journal lost.
        Err(NotCopied::Io { folder, source }) => Err(OpenError::from_io(folder, source).into()),
        Err(NotCopied::Unreadable(_)) => Ok(None),
    }
}

/// The positions from 1 to `end` that are in no range; the ranges are in order.
fn gaps(whole: &[Range], end: Position) -> Vec<Range> {
    let mut gaps = Vec::new();
    let mut next = Position::FIRST;
    for (first, last) in whole {
        if *first > next {
            gaps.push((next, Position(first.0 - 1)));
        }
        next = next.max(last.next());
    }
    if next <= end {
        gaps.push((next, end));
    }
    gaps
}

/// Ranges in their order, those that touch as one.
fn joined(ranges: impl Iterator<Item = Range>) -> Vec<Range> {
    let mut ranges: Vec<Range> = ranges.collect();
    ranges.sort_unstable();
    let mut joined: Vec<Range> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if first <= end.next() => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn gaps_within(wanted: &[Range], filled: &[Range]) -> Vec<Range> {
    wanted
        .iter()
        .flat_map(|(first, last)| {
            let inside: Vec<_> =
                filled.iter().filter(|(from, to)| to >= first && from <= last).copied().collect();
            gaps(&inside, *last)
                .into_iter()
                .filter(move |(_, to)| to >= first)
                .map(move |(from, to)| (from.max(*first), to))
        })
        .collect()
}

fn unused(folder: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let name = folder.join(format!("{}.damaged-{number}", JOURNAL_FOLDER));
        if !name.exists() {
            return name;
        }
        number += 1;
    }
}
