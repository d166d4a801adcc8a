//! The declarations of the functions `plane.*`; their types say what they take and give.

use super::client::PlaneClient;
use super::{comment, comments, issue, part, sequence, set_state, states};
use crate::function::Function;

/// The functions of this module.
pub(crate) fn functions() -> [Function; 7] {
    functions_over(&PlaneClient::default())
}

/// The functions over one client; they share what it knows of the states of projects.
pub(super) fn functions_over(client: &PlaneClient) -> [Function; 7] {
    let own = || client.clone();
    let (poster, setter, lister) = (own(), own(), own());
    let (reader, listener, counter, maker) = (own(), own(), own(), own());
    [
        Function::built_in("plane.comment", move |call, with| comment::post(poster.clone(), call, with))
            .summary("Writes a comment on an issue of Plane, once for one key.")
            .idempotent()
            .outside(),
        Function::built_in("plane.set_state", move |call, with| set_state::set(setter.clone(), call, with))
            .summary("Moves an issue of Plane to a state, by its name.")
            .idempotent()
            .outside(),
        Function::built_in("plane.states", move |call, with| states::states(lister.clone(), call, with))
            .summary("Gives the states of a project of Plane, by their names.")
            .read_only(),
        Function::built_in("plane.issue", move |call, with| issue::issue(reader.clone(), call, with))
            .summary("Gives an issue of Plane, and asks for what is not known of it.")
            .read_only(),
        Function::built_in("plane.comments", move |call, with| {
            comments::comments(listener.clone(), call, with)
        })
        .summary("Gives the newest comments of people on an issue of Plane.")
        .read_only(),
        Function::built_in("plane.part", move |call, with| part::make(maker.clone(), call, with))
            .summary("Makes an issue of its own below an issue of Plane, once for one name.")
            .idempotent()
            .outside(),
        Function::built_in("plane.sequence", move |call, with| {
            sequence::sequence(counter.clone(), call, with)
        })
        .summary("Gives a step the name of an issue of Plane, such as ORCH-018, that no other step has.")
        .idempotent(),
    ]
}
