//! The pipeline's graph by index: what the fold needs of the definition.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Continued;
use crate::definition::{Definition, Join, Step, StepWorkspace, Task, Wait, Work};
use crate::id::StepId;

/// A definition with its steps numbered: first `steps`, then `on_finish`. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) definition: Arc<Definition>,
    shape: Arc<Shape>,
}

/// The numbers of the steps, and who needs whom; shared by all runs of a definition.
#[derive(Debug)]
pub(crate) struct Shape {
    index: HashMap<StepId, usize>,
    needs: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
    /// The steps with a gate that a signal wakes, by its name.
    woken: HashMap<String, Vec<usize>>,
    listeners: BTreeMap<String, Listeners>,
    continued: Continued,
    #[cfg_attr(not(feature = "runtime"), allow(dead_code, reason = "the driver asks"))]
    has_copies: bool,
}

/// Who may take signals of one name, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// Steps that wait for one.
    pub(crate) waits: Vec<usize>,
    /// Steps with a route for it.
    pub(crate) steps: Vec<usize>,
}

impl Shape {
    fn new(definition: &Definition) -> Self {
        let all = || definition.steps.iter().chain(&definition.on_finish);
        let index: HashMap<StepId, usize> =
            all().enumerate().map(|(at, step)| (step.id.clone(), at)).collect();
        let needs: Vec<Vec<usize>> = all()
            .map(|step| step.needs.iter().filter_map(|need| index.get(need).copied()).collect())
            .collect();
        let mut dependents = vec![Vec::new(); needs.len()];
        for (at, needs) in needs.iter().enumerate() {
            for need in needs {
                dependents[*need].push(at);
            }
        }
        let mut woken: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, step) in all().enumerate() {
            for name in step.gates.iter().flat_map(|gate| &gate.wake) {
                let steps = woken.entry(name.clone()).or_default();
                if steps.last() != Some(&at) {
                    steps.push(at);
                }
            }
        }
        let continued = Continued::new(definition);
        let has_copies = all().any(|step| step.workspace == StepWorkspace::Own);
        Self { index, needs, dependents, woken, listeners: listeners(definition), continued, has_copies }
    }
}

fn listeners(definition: &Definition) -> BTreeMap<String, Listeners> {
    let mut listeners: BTreeMap<String, Listeners> = BTreeMap::new();
    for (at, step) in definition.steps.iter().chain(&definition.on_finish).enumerate() {
        if let Some(Work::Wait(Wait { signal: Some(name), .. })) = &step.work {
            listeners.entry(name.clone()).or_default().waits.push(at);
        }
        for name in step.on_signal.keys() {
            listeners.entry(name.clone()).or_default().steps.push(at);
        }
    }
    listeners
}

impl Graph {
    pub(crate) fn new(definition: Arc<Definition>) -> Self {
        let shape = definition.derived.shape.get_or_init(|| Arc::new(Shape::new(&definition))).clone();
        Self { definition, shape }
    }

    /// The number of steps of the main graph; higher indexes are `on_finish` steps.
    pub(crate) fn main_len(&self) -> usize {
        self.definition.steps.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.needs.len()
    }

    pub(crate) fn is_finish(&self, at: usize) -> bool {
        at >= self.main_len()
    }

    pub(crate) fn step(&self, at: usize) -> &Step {
        match at.checked_sub(self.main_len()) {
            None => &self.definition.steps[at],
            Some(finish) => &self.definition.on_finish[finish],
        }
    }

    pub(crate) fn find(&self, step: &StepId) -> Option<usize> {
        self.shape.index.get(step).copied()
    }

    pub(crate) fn needs(&self, at: usize) -> &[usize] {
        &self.shape.needs[at]
    }

    /// Whether one need that succeeded is enough for the step to begin.
    pub(crate) fn joins_any(&self, at: usize) -> bool {
        self.step(at).join == Join::Any
    }

    pub(crate) fn dependents(&self, at: usize) -> &[usize] {
        &self.shape.dependents[at]
    }

    /// The steps with a gate that a signal of this name wakes, in the order of the file.
    pub(crate) fn woken_by(&self, signal: &str) -> &[usize] {
        self.shape.woken.get(signal).map(Vec::as_slice).unwrap_or_default()
    }

    /// Who may take signals of this name.
    pub(crate) fn listeners(&self, name: &str) -> Option<&Listeners> {
        self.shape.listeners.get(name)
    }

    /// Whether some step works in copies of the run's worktree.
    #[cfg_attr(not(feature = "runtime"), allow(dead_code, reason = "the driver asks"))]
    pub(crate) fn has_copies(&self) -> bool {
        self.shape.has_copies
    }

    /// Which sessions of agents are continued.
    pub(crate) fn continued(&self) -> &Continued {
        &self.shape.continued
    }

    /// A step and everything that needs it, directly or not, in the order of the file.
    pub(crate) fn downstream(&self, at: usize) -> Vec<usize> {
        let mut seen = vec![false; self.len()];
        let mut open = vec![at];
        while let Some(next) = open.pop() {
            if !std::mem::replace(&mut seen[next], true) {
                open.extend(&self.shape.dependents[next]);
            }
        }
        (0..self.len()).filter(|at| seen[*at]).collect()
    }

    /// Whether the time limit of a task is a timer of the core; a supervised process has its own.
    pub(crate) fn is_timed_here(task_kind: &str) -> bool {
        !matches!(task_kind, Task::COMMAND | Task::AGENT)
    }

    /// Whether the step works in the run's workspace, where the pipeline has one.
    pub(crate) fn uses_workspace(&self, at: usize) -> bool {
        self.definition.workspace.is_some() && self.step(at).is_in_workspace()
    }
}
