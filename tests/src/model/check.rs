use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::state::{ModelBounds, ModelState};
use super::step::{ModelStep, steps};
use super::transition::after;

/// A state that must not be, and how it is reached.
#[derive(Clone, Debug)]
pub struct BadState {
    /// What is wrong.
    pub what: String,
    /// The steps that lead there, as few as can be.
    pub steps: Vec<String>,
}

/// What was looked through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
}

/// Looks through every state within the bounds, the nearest first, until one is wrong.
///
/// # Errors
/// The first wrong state.
pub fn check(bounds: &ModelBounds) -> Result<Explored, BadState> {
    // Of a state that was seen, a fingerprint of 128 bits is kept; of each, the one that it came
    // from and the step between.
    let mut known = HashSet::from([fingerprint(&ModelState::first())]);
    let mut origin: Vec<(u32, Option<ModelStep>)> = vec![(0, None)];
    let mut to_do = VecDeque::from([(0_u32, ModelState::first())]);
    let mut seen = Explored::default();
    while let Some((number, state)) = to_do.pop_front() {
        for step in steps(&state, bounds) {
            seen.steps += 1;
            match after(&state, bounds, step) {
                Ok(next) if next.row.counter > bounds.counter => {}
                Ok(next) => {
                    if known.insert(fingerprint(&next)) {
                        to_do.push_back((origin.len() as u32, next));
                        origin.push((number, Some(step)));
                    }
                }
                Err(what) => {
                    let mut steps = way_to(&origin, number);
                    steps.push(format!("{step:?}"));
                    return Err(BadState { what, steps });
                }
            }
        }
    }
    seen.states = origin.len();
    Ok(seen)
}

fn fingerprint(state: &ModelState) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, state).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// The steps from the first state to this one.
fn way_to(origin: &[(u32, Option<ModelStep>)], mut number: u32) -> Vec<String> {
    let mut way = Vec::new();
    while let (from, Some(step)) = &origin[number as usize] {
        way.push(format!("{step:?}"));
        number = *from;
    }
    way.reverse();
    way
}
