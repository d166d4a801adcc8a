//! How former schemas read today: the moment at which a copied history becomes a run.

use crate::event::former::{
    RunForked1, RunForked2, RunForked3, RunForked4, RunForked5, RunForked6, RunForked7, RunForked8,
    RunForkedWhole,
};
use crate::event::kinds::RunForked;

/// What every schema holds, and then what each holds or its absence stood for.
macro_rules! read_as_fork {
    ($($from:ident as $old:ident: $until:expr, $initiator:expr, $effects:expr, $tries:expr, $items:expr, $spans:expr, $at:expr;)*) => {
        $(
            impl From<$from> for RunForked {
                fn from($old: $from) -> Self {
                    Self {
                        run: $old.run,
                        origin: $old.origin,
                        definition: $old.definition,
                        input: $old.input,
                        config: $old.config,
                        from_step: $old.from_step,
                        reset: $old.reset,
                        title: $old.title,
                        entropy: $old.entropy,
                        until_step: $until,
                        initiator: $initiator,
                        effects: $effects,
                        keeps_tries: $tries,
                        keeps_items: $items,
                        keeps_spans: $spans,
                        continued_at: $at,
                    }
                }
            }
        )*
    };
}

read_as_fork! {
    RunForked1 as old: None, None, None, false, Vec::new(), false, None;
    RunForked2 as old: old.until_step, None, None, false, Vec::new(), false, None;
    RunForked3 as old: old.until_step, old.initiator, None, false, Vec::new(), false, None;
    RunForked4 as old: old.until_step, None, old.effects, false, Vec::new(), false, None;
    RunForked5 as old: old.until_step, old.initiator, old.effects, false, Vec::new(), false, None;
    RunForked6 as old: old.until_step, old.initiator, old.effects, old.keeps_tries, Vec::new(), false, None;
    RunForked7 as old: old.until_step, old.initiator, old.effects, old.keeps_tries, old.keeps_items, false, None;
    RunForked8 as old: old.until_step, old.initiator, old.effects, old.keeps_tries, old.keeps_items, old.keeps_spans,
        None;
    RunForkedWhole as stored: stored.until_step, stored.initiator, stored.effects, stored.keeps_tries, stored.keeps_items,
        stored.keeps_spans, stored.continued_at;
}

impl From<RunForked> for RunForkedWhole {
    fn from(event: RunForked) -> Self {
        Self {
            run: event.run,
            origin: event.origin,
            definition: event.definition,
            input: event.input,
            config: event.config,
            from_step: event.from_step,
            reset: event.reset,
            title: event.title,
            entropy: event.entropy,
            until_step: event.until_step,
            initiator: event.initiator,
            effects: event.effects,
            keeps_tries: event.keeps_tries,
            keeps_items: event.keeps_items,
            keeps_spans: event.keeps_spans,
            continued_at: event.continued_at,
        }
    }
}
