//! What is placed as one: a step, or a block of steps that stand side by side.
//!
//! Law: the steps of a block have the same needs, the same dependants and the same routes backwards, so that lines
//! from and to the block are lines from and to each of them.

use std::collections::BTreeMap;

use super::geometry::{BoxContent, Rect, box_size};
use super::sketch::Sketch;

/// So many steps side by side stand in one row; more are a block of several rows.
const ROW_MAX: usize = 6;
/// Around the boxes of a block.
const BLOCK_PADDING: f64 = 12.0;
/// Above the boxes of a block, for the words that count them.
pub(super) const BLOCK_HEAD: f64 = 24.0;
/// Between the boxes of a block.
const BLOCK_GAP: f64 = 12.0;

/// A step, or a block of steps.
pub(super) struct GraphCell {
    /// The steps, in the order of the file.
    pub(super) members: Vec<usize>,
    /// The places of the steps in the cell.
    pub(super) inside: Vec<Rect>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A route backwards between cells.
#[derive(Debug, Clone)]
pub(super) struct CellBack {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: String,
}

/// The cells of a picture with the lines between them.
pub(super) struct Cells {
    pub(super) cells: Vec<GraphCell>,
    /// Each needs the first of a pair: from, to.
    pub(super) arrows: Vec<(usize, usize)>,
    pub(super) backs: Vec<CellBack>,
    /// By arrow of the sketch: which of the cells' it is.
    pub(super) arrow_of: Vec<usize>,
    /// By route backwards of the sketch.
    pub(super) back_of: Vec<usize>,
}

/// What the steps of a block have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Likeness<'a> {
    needs: Vec<usize>,
    dependants: Vec<usize>,
    /// Where its routes backwards lead, none: to itself; and their labels.
    backs: Vec<(Option<usize>, &'a str)>,
    is_standby: bool,
}

impl GraphCell {
    fn one(sketch: &Sketch, step: usize, content: BoxContent) -> Self {
        let (width, height) = box_size(&sketch.boxes[step], content);
        Self { members: vec![step], inside: vec![Rect { x: 0.0, y: 0.0, width, height }], width, height }
    }

    /// Rows of boxes of one width; those of a row have one height.
    fn block(sketch: &Sketch, members: Vec<usize>, content: BoxContent) -> Self {
        let sizes: Vec<(f64, f64)> =
            members.iter().map(|step| box_size(&sketch.boxes[*step], content)).collect();
        let width = sizes.iter().map(|(width, _)| *width).fold(0.0, f64::max);
        let most = match content {
            BoxContent::Full => 1_400.0,
            BoxContent::Names => 1_040.0,
        };
        let room = most - 2.0 * BLOCK_PADDING + BLOCK_GAP;
        let columns_max = ((room / (width + BLOCK_GAP)).floor() as usize).max(2);
        let columns = ((2.2 * members.len() as f64).sqrt().ceil() as usize).min(columns_max);
        let mut inside = Vec::with_capacity(members.len());
        let mut y = BLOCK_HEAD;
        for row in sizes.chunks(columns) {
            let height = row.iter().map(|(_, height)| *height).fold(0.0, f64::max);
            inside.extend((0..row.len()).map(|at| Rect {
                x: BLOCK_PADDING + (width + BLOCK_GAP) * at as f64,
                y,
                width,
                height,
            }));
            y += height + BLOCK_GAP;
        }
        let count = columns as f64;
        Self {
            members,
            inside,
            width: 2.0 * BLOCK_PADDING + count * width + (count - 1.0) * BLOCK_GAP,
            height: y - BLOCK_GAP + BLOCK_PADDING,
        }
    }

    /// Whether it is a block of several steps.
    pub(super) fn is_block(&self) -> bool {
        self.members.len() > 1
    }
}

impl Cells {
    /// The cells of the steps that are no part of `on_finish`.
    pub(super) fn of(sketch: &Sketch, content: BoxContent) -> Self {
        let mut blocks: BTreeMap<Likeness<'_>, Vec<usize>> = BTreeMap::new();
        for step in (0..sketch.boxes.len()).filter(|step| !sketch.boxes[*step].finish) {
            let is_target = sketch.backs.iter().any(|back| back.to == step && back.from != step);
            if !is_target {
                blocks.entry(likeness(sketch, step)).or_default().push(step);
            }
        }
        let mut block_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for members in blocks.into_values().filter(|members| members.len() > ROW_MAX) {
            block_of.insert(members[0], members);
        }
        let is_inner = |step: &usize| block_of.values().any(|members| members[1..].contains(step));
        let firsts: Vec<usize> =
            (0..sketch.boxes.len()).filter(|step| !sketch.boxes[*step].finish && !is_inner(step)).collect();
        let mut cells = Vec::with_capacity(firsts.len());
        for step in firsts {
            cells.push(match block_of.remove(&step) {
                Some(members) => GraphCell::block(sketch, members, content),
                None => GraphCell::one(sketch, step, content),
            });
        }
        joined(sketch, cells)
    }
}

fn likeness(sketch: &Sketch, step: usize) -> Likeness<'_> {
    let mut needs: Vec<usize> =
        sketch.arrows.iter().filter(|(_, to)| *to == step).map(|(from, _)| *from).collect();
    let mut dependants: Vec<usize> =
        sketch.arrows.iter().filter(|(from, _)| *from == step).map(|(_, to)| *to).collect();
    needs.sort_unstable();
    dependants.sort_unstable();
    let own = sketch.backs.iter().filter(|back| back.from == step);
    let backs = own.map(|back| ((back.to != step).then_some(back.to), back.label.as_str())).collect();
    Likeness { needs, dependants, backs, is_standby: sketch.boxes[step].standby }
}

/// The cells with the lines of their steps, each line once.
fn joined(sketch: &Sketch, cells: Vec<GraphCell>) -> Cells {
    let mut cell_of = vec![0; sketch.boxes.len()];
    for (at, cell) in cells.iter().enumerate() {
        cell.members.iter().for_each(|step| cell_of[*step] = at);
    }
    let mut joined =
        Cells { cells, arrows: Vec::new(), backs: Vec::new(), arrow_of: vec![], back_of: vec![] };
    let mut known: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (from, to) in &sketch.arrows {
        let pair = (cell_of[*from], cell_of[*to]);
        let next = joined.arrows.len();
        let at = *known.entry(pair).or_insert(next);
        if at == next {
            joined.arrows.push(pair);
        }
        joined.arrow_of.push(at);
    }
    let mut known: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for back in &sketch.backs {
        let (from, to) = (cell_of[back.from], cell_of[back.to]);
        let next = joined.backs.len();
        let at = *known.entry((from, to)).or_insert(next);
        if at == next {
            joined.backs.push(CellBack { from, to, label: back.label.clone() });
        }
        joined.back_of.push(at);
    }
    joined
}
