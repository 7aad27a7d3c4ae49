//! Changes: which attributes a write sets and removes.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::lease::{CounterEdit, Edit, Edits, Expect, Match, SwitchesEdit};
use kcl_core::model::{Facts, LeaseKey, Pending, WorkerId};

use crate::item::attribute::*;
use crate::item::{checkpoint_values, number, shard_set, text, throughput_values};

use super::Parts;

/// An update expression under construction. Attributes that it does not name stay as they are,
/// among them those that other programs have added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Update {
    /// The assignments after `SET`.
    sets: Vec<String>,
    /// The attributes after `REMOVE`.
    removes: Vec<String>,
}

impl Update {
    /// Sets the attribute to this value.
    pub(crate) fn set(&mut self, parts: &mut Parts, attribute: &str, value: AttributeValue) {
        self.sets.push(format!(
            "{} = {}",
            parts.name(attribute),
            parts.value(value)
        ));
    }

    /// Removes the attribute, whether it exists or not.
    pub(crate) fn remove(&mut self, parts: &mut Parts, attribute: &str) {
        self.removes.push(parts.name(attribute));
    }

    /// Sets the attribute, or removes it for `None`: an old value must not stay beside new ones.
    pub(crate) fn set_or_remove(
        &mut self,
        parts: &mut Parts,
        attribute: &str,
        value: Option<AttributeValue>,
    ) {
        match value {
            Some(value) => self.set(parts, attribute, value),
            None => self.remove(parts, attribute),
        }
    }

    /// The expression, or `None` if there is nothing to do: DynamoDB does not accept an empty one.
    pub(crate) fn text(&self) -> Option<String> {
        let clause = |word: &str, what: &[String]| {
            (!what.is_empty()).then(|| format!("{word} {}", what.join(", ")))
        };
        let clauses: Vec<String> = [clause("SET", &self.sets), clause("REMOVE", &self.removes)]
            .into_iter()
            .flatten()
            .collect();
        (!clauses.is_empty()).then(|| clauses.join(" "))
    }
}

/// The update for these edits, for a lease that is as expected. Attributes that the edits do not
/// name are kept.
///
/// The counter is added to in DynamoDB and not computed here, which the condition makes the same;
/// owner switches are added to a value that old rows may lack.
pub(crate) fn edited(parts: &mut Parts, key: &LeaseKey, expect: &Expect, edits: &Edits) -> Update {
    let mut update = Update::default();
    if edits.counter == CounterEdit::Next {
        let counter = parts.name(LEASE_COUNTER);
        update.sets.push(format!(
            "{counter} = {counter} + {}",
            parts.value(number(1))
        ));
    }
    let worker = |worker: &WorkerId| text(worker.as_str());
    update.edit(parts, LEASE_OWNER, &edits.owner, worker);
    update.edit(parts, CHECKPOINT_OWNER, &edits.checkpoint_owner, worker);
    update.tenancy(parts, expect, edits);
    match edits.switches {
        SwitchesEdit::Keep => {}
        SwitchesEdit::AddOne => {
            let (switches, zero, one) = (
                parts.name(OWNER_SWITCHES),
                parts.value(number(0)),
                parts.value(number(1)),
            );
            update.sets.push(format!(
                "{switches} = if_not_exists({switches}, {zero}) + {one}"
            ));
        }
        SwitchesEdit::Zero => update.set(parts, OWNER_SWITCHES, number(0)),
    }
    if let Some(checkpoint) = &edits.checkpoint {
        let [at, sub] = checkpoint_values(checkpoint);
        update.set(parts, CHECKPOINT, at);
        update.set(parts, CHECKPOINT_SUB, sub);
        // As the KCL does, so that a row that has lost them is complete again.
        if let Some(stream) = key.stream.as_deref() {
            update.set(parts, STREAM_NAME, text(stream));
            update.set(parts, SHARD_ID, text(key.shard.as_str()));
        }
    }
    update.pending(parts, &edits.pending);
    if let Some(children) = &edits.children {
        update.set_or_remove(parts, CHILDREN, shard_set(children));
    }
    update.edit(parts, STARTING_HASH_KEY, &edits.hash_range, |range| {
        text(range.start().to_string())
    });
    update.edit(parts, ENDING_HASH_KEY, &edits.hash_range, |range| {
        text(range.end().to_string())
    });
    update.edit(parts, PAUSED_AT, &edits.paused, |at| number(at.as_millis()));
    update.edit(parts, ASSIGNED_TO, &edits.assigned, |to| {
        text(to.to_string())
    });
    if let Some(throughput) = edits.throughput {
        for (attribute, value) in throughput_values(throughput) {
            update.set_or_remove(parts, attribute, value);
        }
    }
    if let Some(facts) = &edits.facts {
        update.facts(parts, facts);
    }
    update
}

impl Update {
    /// One attribute, for one edit.
    fn edit<T>(
        &mut self,
        parts: &mut Parts,
        attribute: &str,
        edit: &Edit<T>,
        value: impl Fn(&T) -> AttributeValue,
    ) {
        match edit {
            Edit::Keep => {}
            Edit::Set(to) => self.set(parts, attribute, value(to)),
            Edit::Remove => self.remove(parts, attribute),
        }
    }

    /// Writes the token of the tenancy together with the name of its holder.
    ///
    /// A KCL knows neither and leaves both in the row when it takes the lease. The pair shows that:
    /// a token counts only while the holder is the actual owner. So whenever a write names an
    /// owner, the holder is written with it, and a token that is not the owner's is removed.
    fn tenancy(&mut self, parts: &mut Parts, expect: &Expect, edits: &Edits) {
        let names_owner = (&edits.owner, &edits.checkpoint_owner) != (&Edit::Keep, &Edit::Keep);
        match &edits.token {
            Edit::Set(token) => self.set(parts, TOKEN, text(token.as_str())),
            // A KCL may have left a token there. It must not become valid again when its former
            // holder is the owner again.
            Edit::Keep if names_owner && expect.token == Match::Absent => self.remove(parts, TOKEN),
            Edit::Keep if names_owner => {}
            Edit::Keep => return,
            Edit::Remove => self.remove(parts, TOKEN),
        }
        let ends = edits.token == Edit::Remove
            || (edits.token == Edit::Keep && expect.token == Match::Absent);
        let owner = if ends {
            None
        } else {
            actual_owner(expect, edits)
        };
        self.set_or_remove(parts, HOLDER, owner.map(|owner| text(owner.as_str())));
    }

    /// The prepared checkpoint: three attributes that are set or removed together.
    fn pending(&mut self, parts: &mut Parts, pending: &Edit<Pending>) {
        match pending {
            Edit::Keep => {}
            Edit::Set(Pending { at, state }) => {
                let [at, sub] = checkpoint_values(at);
                self.set(parts, PENDING, at);
                self.set(parts, PENDING_SUB, sub);
                let state = state
                    .as_ref()
                    .map(|state| AttributeValue::B(Blob::new(state.clone())));
                self.set_or_remove(parts, PENDING_STATE, state);
            }
            Edit::Remove => {
                for attribute in [PENDING, PENDING_SUB, PENDING_STATE] {
                    self.remove(parts, attribute);
                }
            }
        }
    }

    /// The facts, all of them: one that is missing is removed, so that facts of two streams never
    /// mix.
    fn facts(&mut self, parts: &mut Parts, facts: &Facts) {
        self.set_or_remove(
            parts,
            START_AT,
            facts.start_at.map(|at| number(at.as_millis())),
        );
        self.set_or_remove(
            parts,
            BEGAN_AT,
            facts.began_at.map(|at| number(at.as_millis())),
        );
        self.set_or_remove(parts, STREAM_ARN, facts.stream_arn.as_deref().map(text));
        self.set_or_remove(
            parts,
            STREAM_CREATED_AT,
            facts.stream_created_at.map(|at| number(at.as_millis())),
        );
    }
}

/// The actual owner of a lease after the change, if that is known: the checkpoint owner while there
/// is one, otherwise the owner. What the change does not set is as the condition says.
fn actual_owner<'a>(expect: &'a Expect, edits: &'a Edits) -> Option<&'a WorkerId> {
    let (asked, named) = (&edits.checkpoint_owner, &edits.owner);
    match (asked, &expect.checkpoint_owner) {
        (Edit::Set(owner), _) | (Edit::Keep, Match::Is(owner)) => Some(owner),
        (Edit::Keep, Match::Any) => None,
        (Edit::Remove, _) | (Edit::Keep, Match::Absent) => match (named, &expect.owner) {
            (Edit::Set(owner), _) | (Edit::Keep, Match::Is(owner)) => Some(owner),
            _ => None,
        },
    }
}
