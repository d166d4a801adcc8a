//! The declarations of the functions `git.*`; their types say what they take and give.

use super::context::Context;
use super::{branch, commit, free_branch, pull, push, ready};
use crate::function::{Function, Functions};

/// Adds the functions `git.*`.
pub(crate) fn declare(functions: &mut Functions, context: &Context) {
    let own = || context.clone();
    let (committer, pusher, opener, merger, namer) = (own(), own(), own(), own(), own());
    let declared = [
        Function::built_in("git.branch", branch::branch)
            .summary("Makes a branch where there is none, and checks it out in the working folder.")
            .idempotent(),
        Function::built_in("git.free_branch", move |call, wanted| {
            free_branch::free_branch(namer.clone(), call, wanted)
        })
        .summary("Gives a name for a branch that neither the repository, its remote nor another step has.")
        .idempotent(),
        Function::built_in("git.commit", move |call, wanted| commit::commit(committer.clone(), call, wanted))
            .summary("Commits what is changed in the working folder.")
            .idempotent(),
        Function::built_in("git.push", move |call, wanted| push::push(pusher.clone(), call, wanted))
            .summary("Pushes a commit to a branch of a remote; never over the work of others.")
            .idempotent()
            .outside(),
        Function::built_in("git.open_pr", move |call, wanted| pull::open(opener.clone(), call, wanted))
            .summary("Opens a pull request of a branch, or finds the one that is open.")
            .idempotent()
            .outside(),
        Function::built_in("git.merge_pr", move |call, wanted| pull::merge(merger.clone(), call, wanted))
            .summary("Merges a pull request; one that is merged already is done.")
            .idempotent()
            .outside(),
        Function::built_in("git.ready", ready::ready)
            .summary("Looks whether a repository is ready to be worked on; changes nothing.")
            .read_only(),
    ];
    declared.into_iter().for_each(|function| functions.offer(function));
}
