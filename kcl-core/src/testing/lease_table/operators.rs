use crate::lease::Write;
use crate::model::{Assignee, Checkpoint, Facts, Lease, Timestamp};

use super::TableFixture;
use super::check::check_write;
use super::rows::{free, held, other, token};

/// A pause needs only that the shard is not at its end: the owner may write at any time, and what it
/// has read must stay enough for its next write.
pub async fn a_pause_needs_no_owner_and_leaves_the_counter(fixture: &dyn TableFixture) {
    let at = Timestamp::from_millis(1_700_000_111_222);
    let row = Lease {
        paused_at: None,
        ..held()
    };
    let after = Lease {
        paused_at: Some(at),
        ..held()
    };
    check_write(fixture, &Write::pause(at), &row, &after).await;
}

/// A resume removes the pause and nothing else.
pub async fn a_resume_removes_the_pause_alone(fixture: &dyn TableFixture) {
    let after = Lease {
        paused_at: None,
        ..held()
    };
    check_write(fixture, &Write::resume(), &held(), &after).await;
}

/// A move needs only that the shard is not at its end, and replaces an earlier one.
pub async fn an_assignment_needs_no_owner_and_leaves_the_counter(fixture: &dyn TableFixture) {
    let to = Assignee::new(other(), token("process-2"));
    let after = Lease {
        assigned_to: Some(to.clone()),
        ..held()
    };
    check_write(fixture, &Write::assign(to), &held(), &after).await;
}

/// Who ends an assignment names it: a later one, also to another process of the same worker, stays.
pub async fn an_assignment_is_ended_only_by_its_name(fixture: &dyn TableFixture) {
    let after = Lease {
        assigned_to: None,
        ..held()
    };
    let process = |name| Write::unassign(Assignee::new(other(), token(name)));
    check_write(fixture, &process("process-1"), &held(), &after).await;
}

/// A seek needs a lease that nobody holds and that is as it was seen. It replaces the checkpoint,
/// whichever way that lies, and the time at which the shard is opened; a prepared checkpoint is
/// removed.
pub async fn a_seek_needs_counter_checkpoint_and_no_owner(fixture: &dyn TableFixture) {
    let row = free();
    let start_at = Some(Timestamp::from_millis(1_695_000_000_456));
    let after = Lease {
        counter: row.counter + 1,
        owner_switches: 0,
        checkpoint: Checkpoint::AtTimestamp,
        pending: None,
        facts: Facts {
            start_at,
            began_at: None,
            ..row.facts.clone()
        },
        ..row.clone()
    };
    let seek = Write::seek(&row, Checkpoint::AtTimestamp, start_at);
    check_write(fixture, &seek, &row, &after).await;
}
