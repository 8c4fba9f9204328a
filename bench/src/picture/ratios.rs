//! Ours beside the peer's, measured in one run: a bar for each target.

use super::paper::{Paper, figure};
use super::scale::Scale;

/// One target, ours divided by the peer's.
#[derive(Clone, Debug)]
pub struct Ratio {
    /// What is divided, in a few words.
    pub label: String,
    /// The median of all rounds.
    pub ratio: f64,
    /// Least and most of all rounds.
    pub spread: (f64, f64),
    /// What the target asks for.
    pub required: f64,
    /// What it hopes for.
    pub goal: f64,
}

/// Bars on a scale of factors, the peer at 1.
pub fn ratios(title: &str, description: &str, rows: &[Ratio]) -> String {
    const ROW: f64 = 46.0;
    const TOP: f64 = 74.0;
    const LEFT: f64 = 400.0;
    const RIGHT: f64 = 900.0;
    let bottom = TOP + ROW * rows.len() as f64;
    let mut paper = Paper::new(960.0, bottom + 74.0, title, description);
    let scale = Scale::logarithmic(0.1, 6.0);
    let x = |ratio| scale.place(ratio, LEFT, RIGHT);
    for tick in scale.ticks() {
        paper.line("grid", (x(tick), TOP), (x(tick), bottom));
        paper.text("small mid", x(tick), bottom + 18.0, &figure(tick));
    }
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + ROW * index as f64;
        paper.text("end", LEFT - 16.0, y + 28.0, &row.label);
        let (from, to) = (x(row.ratio.min(1.0)), x(row.ratio.max(1.0)));
        paper.bar((from, y + 13.0), to - from, 20.0);
        paper.line("spread", (x(row.spread.0), y + 23.0), (x(row.spread.1), y + 23.0));
        paper.line("required", (x(row.required), y + 8.0), (x(row.required), y + 38.0));
        paper.line("goal", (x(row.goal), y + 8.0), (x(row.goal), y + 38.0));
        let beyond = if row.ratio < 1.0 { x(1.0) + 10.0 } else { x(1.0) - 44.0 };
        paper.text("", beyond, y + 28.0, &figure(row.ratio));
    }
    paper.line("peer", (x(1.0), TOP - 8.0), (x(1.0), bottom));
    paper.text("small mid", x(1.0), TOP - 14.0, "Kamailio");
    let legend = bottom + 48.0;
    for (class, at, word) in [
        ("required", LEFT, "required"),
        ("goal", LEFT + 110.0, "goal"),
        ("spread", LEFT + 190.0, "least to most of all rounds"),
    ] {
        paper.line(class, (at, legend), (at + 18.0, legend));
        paper.text("small", at + 26.0, legend + 4.0, word);
    }
    paper.finish()
}
