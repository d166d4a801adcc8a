//! The picture as text: lanes as version control draws them.

use std::fmt::Write as _;

use everfold_engine::definition::Definition;

use super::sketch::{Sketch, SketchKind, StepBox};

/// A pipeline as text: one step per row, needs as lines, gates and routes below their step.
#[must_use]
pub fn text(definition: &Definition) -> String {
    let sketch = Sketch::of(definition);
    let mut drawing = Drawing { text: String::new(), columns: Vec::new() };
    let about =
        if sketch.description.is_empty() { String::new() } else { format!(": {}", sketch.description) };
    drawing.row(&format!("{}{about}", sketch.name));
    for line in &sketch.about {
        drawing.row(&format!("  {line}"));
    }
    drawing.row("");
    let width = sketch.boxes.iter().map(|step| step.id.chars().count()).max().unwrap_or(0);
    for at in order(&sketch) {
        drawing.step(&sketch, at, width);
    }
    let finish: Vec<&StepBox> = sketch.boxes.iter().filter(|step| step.finish).collect();
    if !finish.is_empty() {
        drawing.row("");
        drawing.row("on finish, however the run ends:");
        drawing.columns.clear();
        for step in finish {
            drawing.describe(step, mark(step), width);
        }
    }
    drawing.row("");
    drawing.row(&legend(&sketch));
    drawing.text
}

/// The steps, each after those that it needs, as near to the file's order as that allows.
fn order(sketch: &Sketch) -> Vec<usize> {
    let steps: Vec<usize> = (0..sketch.boxes.len()).filter(|at| !sketch.boxes[*at].finish).collect();
    let mut done = vec![false; sketch.boxes.len()];
    let mut order = Vec::with_capacity(steps.len());
    while order.len() < steps.len() {
        let next = steps
            .iter()
            .copied()
            .find(|at| !done[*at] && sketch.arrows.iter().all(|(from, to)| to != at || done[*from]));
        // A checked pipeline has no cycle; what is left over otherwise is drawn in file order.
        let Some(next) = next.or_else(|| steps.iter().copied().find(|at| !done[*at])) else { break };
        done[next] = true;
        order.push(next);
    }
    order
}

fn mark(step: &StepBox) -> char {
    match (step.standby, step.kind) {
        (true, _) => '○',
        (_, kind) if kind.is_person() => '◆',
        (_, SketchKind::Gates) => '◇',
        _ => '●',
    }
}

fn legend(sketch: &Sketch) -> String {
    let words = [
        ('●', "work"),
        ('◆', "people decide"),
        ('◇', "gates only"),
        ('○', "standby, until a rework names it"),
    ];
    let shown: Vec<String> = words
        .iter()
        .filter(|(sign, _)| sketch.boxes.iter().any(|step| mark(step) == *sign))
        .map(|(sign, word)| format!("{sign} {word}"))
        .chain((!sketch.backs.is_empty() || !sketch.signal_backs.is_empty()).then(|| "↺ rework".to_owned()))
        .collect();
    shown.join("   ")
}

struct Drawing {
    text: String,
    /// What each lane leads to.
    columns: Vec<Option<usize>>,
}

impl Drawing {
    fn row(&mut self, row: &str) {
        // Writing to a String cannot fail.
        let _ok = writeln!(self.text, "{}", row.trim_end());
    }

    /// The lanes as they go on, with one sign at a place.
    fn going(&self, sign: Option<(usize, char)>) -> String {
        let mut row = String::new();
        for (at, column) in self.columns.iter().enumerate() {
            let c = match sign {
                Some((place, sign)) if place == at => sign,
                _ if column.is_some() => '│',
                _ => ' ',
            };
            row.push(c);
            row.push(' ');
        }
        row
    }

    fn step(&mut self, sketch: &Sketch, at: usize, width: usize) {
        let arriving: Vec<usize> =
            (0..self.columns.len()).filter(|column| self.columns[*column] == Some(at)).collect();
        let column = match arriving.first() {
            Some(column) => *column,
            None => self.free_column(0),
        };
        if arriving.len() > 1 {
            let row = self.joint(column, &arriving[1..], '╯');
            self.row(&row);
            arriving[1..].iter().for_each(|column| self.columns[*column] = None);
            self.trim();
        }
        if column >= self.columns.len() {
            self.columns.resize(column + 1, None);
        }
        let leaving: Vec<usize> =
            sketch.arrows.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to).collect();
        let step = &sketch.boxes[at];
        self.columns[column] = Some(at);
        let head = self.going(Some((column, mark(step))));
        self.columns[column] = leaving.first().copied();
        let mut opened = Vec::new();
        for to in leaving.iter().skip(1) {
            let free = self.free_column(column + 1);
            if free >= self.columns.len() {
                self.columns.resize(free + 1, None);
            }
            self.columns[free] = Some(*to);
            opened.push(free);
        }
        // The lines below belong to the step, before its lanes part.
        let after = self.columns.clone();
        opened.iter().for_each(|column| self.columns[*column] = None);
        self.trim();
        self.body(step, &head, width);
        self.columns = after;
        if !opened.is_empty() {
            let row = self.joint(column, &opened, '╮');
            self.row(&row);
        }
        self.trim();
    }

    /// A row in which lanes leave from, or come to, one lane.
    fn joint(&self, column: usize, others: &[usize], corner: char) -> String {
        let last = others.iter().copied().max().unwrap_or(column);
        let mut row = String::new();
        for at in 0..self.columns.len().max(last + 1) {
            let busy = self.columns.get(at).is_some_and(Option::is_some);
            let c = if at == column {
                '├'
            } else if others.contains(&at) {
                match (at == last, corner) {
                    (true, corner) => corner,
                    (false, '╮') => '┬',
                    (false, _) => '┴',
                }
            } else if at > column && at < last {
                if busy { '┼' } else { '─' }
            } else if busy {
                '│'
            } else {
                ' '
            };
            row.push(c);
            row.push(if at >= column && at < last { '─' } else { ' ' });
        }
        row
    }

    fn free_column(&self, from: usize) -> usize {
        (from..self.columns.len())
            .find(|column| self.columns[*column].is_none())
            .unwrap_or(self.columns.len().max(from))
    }

    fn trim(&mut self) {
        while matches!(self.columns.last(), Some(None)) {
            self.columns.pop();
        }
    }

    fn describe(&mut self, step: &StepBox, sign: char, width: usize) {
        let head = format!("{sign} ");
        self.body(step, &head, width);
    }

    fn body(&mut self, step: &StepBox, head: &str, width: usize) {
        self.row(&format!("{head}{:width$}  {}", step.id, step.summary));
        let below = self.going(None);
        let indent = " ".repeat(head.chars().count().saturating_sub(below.chars().count()));
        for note in &step.notes {
            self.row(&format!("{below}{indent}  {note}"));
        }
        for gate in &step.gates {
            let route = gate.route.replace("rework ", "↺ ");
            self.row(&format!("{below}{indent}  ◇ {}  {}  → {route}", gate.id, gate.probe));
        }
        for (cause, route) in &step.routes {
            self.row(&format!("{below}{indent}  {cause} → {}", route.replace("rework ", "↺ ")));
        }
    }
}
