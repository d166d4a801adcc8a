//! What every store guarantees, a file per guarantee, run over each store.

mod atomicity;
mod global_log;
mod random_histories;
mod reopening;
mod stream_facts;
mod stream_versions;
mod subject;

/// Runs each law over each store.
macro_rules! laws {
    ($($file:ident :: $law:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $law() { crate::conformance::subject::run(crate::conformance::subject::Subject::memory(), |s| Box::pin(crate::conformance::$file::$law(s))); })*
        }
        mod sled {
            $(#[test] fn $law() { crate::conformance::subject::run(crate::conformance::subject::Subject::sled(), |s| Box::pin(crate::conformance::$file::$law(s))); })*
        }
        /// Every opening finds the journal alone.
        mod journal {
            $(#[test] fn $law() { crate::conformance::subject::run(crate::conformance::subject::Subject::journal(), |s| Box::pin(crate::conformance::$file::$law(s))); })*
        }
    };
}

laws![
    stream_versions::an_append_at_another_version_is_refused_with_the_actual_one,
    stream_versions::h1_an_append_onto_another_history_is_refused,
    stream_versions::s6_one_of_many_racing_appenders_wins_each_version,
    stream_versions::streams_are_read_from_any_version,
    stream_versions::s9_an_append_of_two_streams_or_malformed_is_refused_and_leaves_nothing,
    atomicity::s8_an_append_over_the_limits_is_too_large_and_the_largest_one_fits,
    atomicity::a_batch_is_seen_whole_by_readers_beside_it,
    global_log::h3_positions_are_gap_free_across_streams_and_commit_times_never_decrease,
    global_log::the_log_is_read_from_any_position,
    global_log::s5_a_follower_misses_nothing_and_sees_nothing_twice_from_any_position,
    global_log::a_follower_waits_and_ends_with_the_store,
    stream_facts::s10_a_repeated_write_gets_the_first_answer_and_another_body_is_refused,
    stream_facts::s10_a_key_is_free_again_after_a_week_unless_it_started_the_stream,
    stream_facts::s8_an_older_fence_is_refused,
    stream_facts::s4_notes_say_what_a_start_loads,
    stream_facts::streams_are_listed_by_kind_in_the_order_of_their_ids,
    stream_facts::s11_a_snapshot_is_given_back_for_its_fold_and_history_only,
    reopening::everything_is_there_after_reopening,
    reopening::a_closed_store_refuses_appends,
];
