//! Ratios: what they are of, what is wanted, and their spread.

use std::fmt;

use serde_json::{Value, json};

/// A figure, as a list of what was measured.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    /// The target, `T5` for example; empty for what is no target.
    pub(super) target: &'static str,
    /// What it is.
    pub(super) label: String,
    /// One for each round.
    pub(super) values: Vec<f64>,
    /// What is required, and the goal.
    pub(super) wanted: Option<Wanted>,
    /// Ours and theirs, as a text, and what they are counted by.
    pub(super) of: String,
}

/// Bounds of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wanted {
    /// Required and goal, from above.
    AtMost(f64, f64),
    /// Required and goal, from below.
    AtLeast(f64, f64),
}

impl Figure {
    /// The median of its rounds.
    pub(super) fn median(&self) -> f64 {
        median(&self.values)
    }

    fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// What it is against what is wanted.
    fn verdict(&self) -> &'static str {
        let median = self.median();
        match self.wanted {
            None => "",
            Some(Wanted::AtMost(_, goal)) if median <= goal => "goal",
            Some(Wanted::AtLeast(_, goal)) if median >= goal => "goal",
            Some(Wanted::AtMost(required, _)) if median <= required => "required",
            Some(Wanted::AtLeast(required, _)) if median >= required => "required",
            Some(_) => "MISSED",
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let (required, goal) = match self.wanted {
            Some(Wanted::AtMost(required, goal) | Wanted::AtLeast(required, goal)) => {
                (Some(required), Some(goal))
            }
            None => (None, None),
        };
        let at_least = matches!(self.wanted, Some(Wanted::AtLeast(..)));
        json!({
            "target": self.target, "label": self.label, "ratio": self.median(), "least": self.least(),
            "most": self.most(), "required": required, "goal": goal, "at_least": at_least, "values": self.values,
            "of": self.of, "verdict": self.verdict(),
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = match self.wanted {
            None => String::new(),
            Some(Wanted::AtMost(required, goal)) => format!("<= {required} / {goal}"),
            Some(Wanted::AtLeast(required, goal)) => format!(">= {required} / {goal}"),
        };
        let digits = if self.median().abs() >= 100.0 { 0 } else { 2 };
        let spread = format!("{:.digits$} - {:.digits$}", self.least(), self.most());
        write!(
            out,
            "{:<4} {:<52} {:>9.digits$}  {:<17} {:<18} {:<9} {}",
            self.target,
            self.label,
            self.median(),
            spread,
            wanted,
            self.verdict(),
            self.of
        )
    }
}

/// The median; not a number if there is none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(values: &[f64], wanted: Wanted) -> Figure {
        Figure {
            target: "T5",
            label: "CPU".into(),
            values: values.to_vec(),
            wanted: Some(wanted),
            of: String::new(),
        }
    }

    #[test]
    fn medians_are_of_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_figure_is_held_against_what_is_wanted() {
        assert_eq!(figure(&[0.3], Wanted::AtMost(0.5, 0.32)).verdict(), "goal");
        assert_eq!(figure(&[0.4], Wanted::AtMost(0.5, 0.32)).verdict(), "required");
        assert_eq!(figure(&[0.6], Wanted::AtMost(0.5, 0.32)).verdict(), "MISSED");
        assert_eq!(figure(&[2.5], Wanted::AtLeast(2.0, 3.0)).verdict(), "required");
        assert_eq!(figure(&[f64::NAN], Wanted::AtLeast(2.0, 3.0)).verdict(), "MISSED");
    }
}
