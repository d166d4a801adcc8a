//! The pipeline's graph by index: what the fold needs of the definition.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::model::{
    Continued, Definition, ExecutorTask, Join, Listeners, Step, StepTables, StepWorkspace, Wait, Work,
};
use everfold_base::id::StepId;
use everfold_base::json::Value;

/// A definition with its steps numbered: first `steps`, then `on_finish`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The definition.
    pub definition: Arc<Definition>,
    shape: Arc<StepTables>,
}

fn shape(definition: &Definition) -> StepTables {
    let all = || definition.steps.iter().chain(&definition.on_finish);
    let index: HashMap<StepId, usize> = all().enumerate().map(|(at, step)| (step.id.clone(), at)).collect();
    let needs: Vec<Vec<usize>> =
        all().map(|step| step.needs.iter().filter_map(|need| index.get(need).copied()).collect()).collect();
    let mut dependents = vec![Vec::new(); needs.len()];
    for (at, needs) in needs.iter().enumerate() {
        for need in needs {
            dependents[*need].push(at);
        }
    }
    let mut woken: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, step) in all().enumerate() {
        for wake in step.gates.iter().flat_map(|gate| &gate.wake) {
            let steps = woken.entry(wake.signal().to_owned()).or_default();
            if steps.last() != Some(&at) {
                steps.push(at);
            }
        }
    }
    let continued = continued(definition);
    let has_copies = all().any(|step| step.workspace == StepWorkspace::Own);
    StepTables { index, needs, dependents, woken, listeners: listeners(definition), continued, has_copies }
}

fn continued(definition: &Definition) -> Continued {
    let all = definition.steps.iter().chain(&definition.on_finish);
    let spec = |work: &Option<Work>| match work {
        Some(Work::Task(task)) if task.kind == ExecutorTask::AGENT => Some(task.spec.source().clone()),
        _other_work => None,
    };
    let specs: Vec<Option<Value>> = all.map(|step| spec(&step.work)).collect();
    let says = |spec: &Option<Value>, words: &[&str]| {
        spec.as_ref().is_some_and(|spec| words.iter().any(|word| spec["session"] == *word))
    };
    let continues = |spec: &Option<Value>| says(spec, &["resume", "carry"]);
    let role = |spec: &Option<Value>| {
        // The session of one program is none of another's.
        let spec = spec.as_ref()?;
        Some(format!("{}/{}", spec["profile"].as_str().unwrap_or_default(), spec["role"].as_str()?))
    };
    let wanted: Vec<String> = specs.iter().filter(|spec| continues(spec)).filter_map(role).collect();
    let roles = specs.iter().map(|spec| role(spec).filter(|role| wanted.contains(role))).collect();
    let carried = specs.iter().map(|spec| says(spec, &["carry"])).collect();
    Continued { own: specs.iter().map(continues).collect(), roles, carried }
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
    /// The graph of a definition; its shape is computed once.
    pub fn new(definition: Arc<Definition>) -> Self {
        let shape = definition.derived.shape.get_or_init(|| Arc::new(shape(&definition))).clone();
        Self { definition, shape }
    }

    /// The number of steps of the main graph; higher indexes are `on_finish` steps.
    pub fn main_len(&self) -> usize {
        self.definition.steps.len()
    }

    /// The number of steps, those of `on_finish` included.
    pub fn len(&self) -> usize {
        self.shape.needs.len()
    }

    /// Whether there is no step: a definition that was checked has one.
    pub fn is_empty(&self) -> bool {
        self.shape.needs.is_empty()
    }

    /// Whether a step is one of `on_finish`.
    pub fn is_finish(&self, at: usize) -> bool {
        at >= self.main_len()
    }

    /// The step of an index.
    pub fn step(&self, at: usize) -> &Step {
        match at.checked_sub(self.main_len()) {
            None => &self.definition.steps[at],
            Some(finish) => &self.definition.on_finish[finish],
        }
    }

    /// The index of a step.
    pub fn find(&self, step: &StepId) -> Option<usize> {
        self.shape.index.get(step).copied()
    }

    /// The steps that a step needs.
    pub fn needs(&self, at: usize) -> &[usize] {
        &self.shape.needs[at]
    }

    /// How the needs of a step must end for it to begin.
    pub fn join(&self, at: usize) -> Join {
        self.step(at).join
    }

    /// The steps that need a step.
    pub fn dependents(&self, at: usize) -> &[usize] {
        &self.shape.dependents[at]
    }

    /// The steps with a gate that a signal of this name wakes, in the order of the file.
    pub fn woken_by(&self, signal: &str) -> &[usize] {
        self.shape.woken.get(signal).map(Vec::as_slice).unwrap_or_default()
    }

    /// The names of all signals that something in the pipeline listens to; a name may come more than once.
    pub fn signal_names(&self) -> impl Iterator<Item = &str> {
        let of_run = self.definition.on_signal.keys();
        of_run.chain(self.shape.listeners.keys()).chain(self.shape.woken.keys()).map(String::as_str)
    }

    /// Who may take signals of this name.
    pub fn listeners(&self, name: &str) -> Option<&Listeners> {
        self.shape.listeners.get(name)
    }

    /// Whether some step works in copies of the run's worktree.
    pub fn has_copies(&self) -> bool {
        self.shape.has_copies
    }

    /// Which sessions of agents are continued.
    pub fn continued(&self) -> &Continued {
        &self.shape.continued
    }

    /// A step and everything that needs it, directly or not, in the order of the file.
    pub fn downstream(&self, at: usize) -> Vec<usize> {
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
    pub fn is_timed_here(task_kind: &str) -> bool {
        !matches!(task_kind, ExecutorTask::COMMAND | ExecutorTask::AGENT)
    }

    /// Whether the step works in the run's workspace, where the pipeline has one.
    pub fn uses_workspace(&self, at: usize) -> bool {
        let step = self.step(at);
        self.definition.workspace.is_some() && (step.is_in_workspace() || step.looks_at_workspace())
    }
}
