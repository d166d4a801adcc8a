//! The poison guard: finds runs whose work was in progress at several aborts of the engine in a row.
//!
//! Law: work that was in progress at several aborts of the engine in a row is not started once more; its run is
//! quarantined before anything of it begins. Every other run continues.

use crate::run::loaded_run::LoadedRun;
use crate::shard::core::ShardCore;
use everfold_base::id::EffectId;
use everfold_core::effect::{Effect, Touched};
use everfold_core::state::effects_of;
use everfold_ports::ENDS_MAX;

impl ShardCore {
    /// Why a loaded run is to be quarantined. The witness is asked about every attempt and probe, so that each is noted
    /// as in progress before any of them begins.
    pub(crate) fn poison(&self, loaded: &LoadedRun, parts: &[Touched]) -> Option<String> {
        let witness = self.shared.edge.witness.as_ref()?;
        let state = loaded.state.as_ref()?;
        let layout = &self.shared.layout;
        let mut found = None;
        for effect in parts.iter().flat_map(|part| effects_of(state, part)) {
            let (what, folder) = match effect {
                Effect::Attempt { id, .. } if !loaded.attempts.contains(&id) => {
                    let effect = EffectId { run: loaded.run, attempt: id };
                    (effect.attempt.to_string(), layout.attempt(&effect))
                }
                Effect::Probe { id, gate, probe_no }
                    if !loaded.probes.contains_key(&(id.clone(), gate.clone(), probe_no)) =>
                {
                    let what = format!("{id}, gate {gate}");
                    let effect = EffectId { run: loaded.run, attempt: id };
                    (what, layout.probe(&effect, &gate, probe_no))
                }
                _at_work_or_harmless => continue,
            };
            let ends = witness.ends_with(&folder);
            if ends >= ENDS_MAX && found.is_none() {
                found = Some(format!(
                    "the engine aborted {ends} times in a row with {what} in hand, so that is not taken up again \
                     by this version; see {}",
                    folder.display()
                ));
            }
        }
        found
    }
}
