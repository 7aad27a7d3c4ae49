//! What a program says when it fails.

use std::error::Error;
use std::fmt;

use examples::exit::Chain;

#[derive(Debug)]
struct Said(&'static str, Option<Box<Self>>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Said {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1
            .as_deref()
            .map(|cause| cause as &(dyn Error + 'static))
    }
}

fn chain(said: &[&'static str]) -> String {
    let error = said
        .iter()
        .rev()
        .fold(None, |cause, text| Some(Box::new(Said(text, cause))));
    Chain(&*error.expect("an error")).to_string()
}

#[test]
fn a_chain_of_causes_says_nothing_twice() {
    assert_eq!(chain(&["no table", "no access"]), "no table: no access");
    assert_eq!(
        chain(&["no table", "no table: no access", "no access"]),
        "no table: no access"
    );
    assert_eq!(
        chain(&["no table: no access", "no access"]),
        "no table: no access"
    );
}
