//! What a picture leaves out of a sketch, so that it can be read.
//!
//! Law: what is left out is said elsewhere: a need that follows from others is there by way of those, steps that are
//! folded are named by who folds them, and a signal that sends many steps back stands among what surrounds the steps.

use std::collections::BTreeMap;

use super::sketch::{SignalBack, Sketch};

/// So many steps at most have their own line for a signal that sends them back.
const SIGNAL_LINES_MAX: usize = 3;

impl Sketch {
    /// The sketch as it is drawn, without the steps of these names; needs and routes go by way of those to the next
    /// ones that are there.
    pub(super) fn drawn(mut self, folded: &[String]) -> Self {
        self.join_signals();
        let is_folded: Vec<bool> = self.boxes.iter().map(|step| folded.contains(&step.id)).collect();
        if is_folded.contains(&true) {
            self.fold(&is_folded);
        }
        self.reduce();
        self
    }

    /// Adds the routes backwards of signals, but for those of a signal that many steps have.
    fn join_signals(&mut self) {
        let mut by_signal: BTreeMap<String, Vec<SignalBack>> = BTreeMap::new();
        for back in std::mem::take(&mut self.signal_backs) {
            by_signal.entry(back.signal.clone()).or_default().push(back);
        }
        for (signal, backs) in by_signal {
            if backs.len() > SIGNAL_LINES_MAX {
                self.about.push(format!("signal {signal} sends {} of the steps back", backs.len()));
                continue;
            }
            for SignalBack { from, to, signal, times } in backs {
                let times = if times.is_empty() { times } else { format!(" {times}") };
                self.add_back(from, to, &format!("signal {signal}{times}"));
            }
        }
    }

    /// Takes steps out.
    fn fold(&mut self, is_folded: &[bool]) {
        for (at, _) in is_folded.iter().enumerate().filter(|(_, is_folded)| **is_folded) {
            let [before, behind]: [Vec<usize>; 2] = [
                self.arrows.iter().filter(|(_, to)| *to == at).map(|(from, _)| *from).collect(),
                self.arrows.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to).collect(),
            ];
            // A step that is reworked from here on is the next one.
            let next = behind.first().copied();
            self.backs.retain_mut(|back| {
                if back.to == at {
                    back.to = next.unwrap_or(at);
                }
                back.from != at && back.to != at
            });
            self.arrows.retain(|(from, to)| *from != at && *to != at);
            for from in before {
                for to in &behind {
                    if !self.arrows.contains(&(from, *to)) {
                        self.arrows.push((from, *to));
                    }
                }
            }
        }
        let mut places = Vec::with_capacity(is_folded.len());
        let mut place = 0;
        for is_folded in is_folded {
            places.push(place);
            place += usize::from(!is_folded);
        }
        let mut kept = is_folded.iter().map(|is_folded| !is_folded);
        self.boxes.retain(|_| kept.next().unwrap_or(true));
        for (from, to) in &mut self.arrows {
            (*from, *to) = (places[*from], places[*to]);
        }
        let backs = std::mem::take(&mut self.backs);
        for back in backs {
            self.add_back(places[back.from], places[back.to], &back.label);
        }
        // What went back by way of folded steps may lead nowhere now.
        let arrows = self.arrows.clone();
        self.backs.retain(|back| back.from == back.to || !leads(&arrows, back.from, back.to, None));
    }

    /// Leaves out the needs that follow from others.
    fn reduce(&mut self) {
        let all = self.arrows.clone();
        self.arrows.retain(|(from, to)| !leads(&all, *from, *to, Some((*from, *to))));
    }
}

/// Whether needs lead from a step to another one, without one of them.
fn leads(arrows: &[(usize, usize)], from: usize, to: usize, without: Option<(usize, usize)>) -> bool {
    let (mut seen, mut open) = (vec![from], vec![from]);
    while let Some(at) = open.pop() {
        for arrow in arrows.iter().filter(|arrow| arrow.0 == at && Some(**arrow) != without) {
            if arrow.1 == to {
                return true;
            }
            if !seen.contains(&arrow.1) {
                seen.push(arrow.1);
                open.push(arrow.1);
            }
        }
    }
    false
}
