use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// What was measured some times, and how great it may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    what: String,
    unit: Unit,
    /// What each run gave, the least first.
    values: Vec<f64>,
    limit: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Seconds,
    Count,
}

impl Figure {
    /// Times; each may be as long as `limit`.
    #[must_use]
    pub fn times(what: impl Into<String>, values: &[Duration], limit: Duration) -> Self {
        Self::new(
            what.into(),
            Unit::Seconds,
            values.iter().map(Duration::as_secs_f64).collect(),
            Some(limit.as_secs_f64()),
        )
    }

    /// Counts; each may be as great as `limit`.
    #[must_use]
    pub fn counts(what: impl Into<String>, values: &[u64], limit: u64) -> Self {
        Self::new(
            what.into(),
            Unit::Count,
            values.iter().map(|value| *value as f64).collect(),
            Some(limit as f64),
        )
    }

    /// A count that has no limit.
    #[must_use]
    pub fn stated(what: impl Into<String>, value: f64) -> Self {
        Self::new(what.into(), Unit::Count, vec![value], None)
    }

    fn new(what: String, unit: Unit, mut values: Vec<f64>, limit: Option<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        Self {
            what,
            unit,
            values,
            limit,
        }
    }

    /// The middle one; of an even number of values the greater of the two in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.values
            .get(self.values.len() / 2)
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// The greatest.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.values.last().copied().unwrap_or(f64::NAN)
    }

    /// Whether every value is within the limit. Without values it is not.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.limit.is_none_or(|limit| self.max() <= limit)
    }

    /// The head of a table of figures.
    #[must_use]
    pub fn head() -> String {
        format!(
            "{:<64} {:>5} {:>10} {:>10} {:>8}",
            "", "runs", "median", "maximum", "limit"
        )
    }

    /// The figure as it stands in the JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": match self.unit { Unit::Seconds => "s", Unit::Count => "count" },
            "runs": self.values.len(),
            "median": self.median(),
            "max": self.max(),
            "limit": self.limit,
            "holds": self.holds(),
            "values": self.values,
        })
    }

    fn text(&self, value: f64) -> String {
        match self.unit {
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Count if value.fract() == 0.0 => format!("{value}"),
            Unit::Count => format!("{value:.1}"),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit.map(|limit| match self.unit {
            Unit::Seconds => format!("{limit} s"),
            Unit::Count => format!("{limit}"),
        });
        let verdict = match (&limit, self.holds()) {
            (None, _) => "",
            (_, true) => "holds",
            (_, false) => "DOES NOT HOLD",
        };
        let (median, max) = (self.text(self.median()), self.text(self.max()));
        let line = format!(
            "{:<64} {:>5} {median:>10} {max:>10} {:>8}  {verdict}",
            self.what,
            self.values.len(),
            limit.unwrap_or_default()
        );
        f.write_str(line.trim_end())
    }
}
