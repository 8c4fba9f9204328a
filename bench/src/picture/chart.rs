//! Curves over two axes.

use super::paper::{Paper, figure};
use super::scale::Scale;

/// One curve.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// 0 to 3: lines of one colour belong together.
    pub colour: usize,
    /// Dashed.
    pub faint: bool,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// A level to look at: a target, somebody else's figure.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Written above it.
    pub name: String,
    /// `required`, `goal` or `peer`.
    pub class: &'static str,
    /// Its height.
    pub y: f64,
}

/// Curves, levels, and the axes they lie on.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Its heading.
    pub title: String,
    /// In one sentence what a reader who cannot see it should know.
    pub description: String,
    /// What lies to the right, with its unit.
    pub x_name: String,
    /// What lies above, with its unit.
    pub y_name: String,
    /// The axis below.
    pub x: Scale,
    /// The axis to the left.
    pub y: Scale,
    /// What is shown.
    pub lines: Vec<Line>,
    /// What it is held against.
    pub marks: Vec<Mark>,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 920.0;
const TOP: f64 = 84.0;
const BOTTOM: f64 = 440.0;

const COLOURS: [&str; 4] = ["a", "b", "c", "d"];

impl Chart {
    /// As SVG.
    pub fn draw(&self) -> String {
        let legend_rows = self.lines.len().div_ceil(2);
        let height = BOTTOM + 66.0 + 22.0 * legend_rows as f64;
        let mut paper = Paper::new(WIDTH, height, &self.title, &self.description);
        let x = |figure| self.x.place(figure, LEFT, RIGHT);
        let y = |figure| self.y.place(figure, BOTTOM, TOP);
        for tick in self.x.ticks() {
            paper.line("grid", (x(tick), TOP), (x(tick), BOTTOM));
            paper.text("small mid", x(tick), BOTTOM + 18.0, &figure(tick));
        }
        for tick in self.y.ticks() {
            paper.line("grid", (LEFT, y(tick)), (RIGHT, y(tick)));
            paper.text("small end", LEFT - 8.0, y(tick) + 4.0, &figure(tick));
        }
        paper.line("axis", (LEFT, BOTTOM), (RIGHT, BOTTOM));
        paper.line("axis", (LEFT, TOP), (LEFT, BOTTOM));
        paper.text("small", LEFT, TOP - 14.0, &self.y_name);
        paper.text("small end", RIGHT, BOTTOM + 38.0, &self.x_name);
        for mark in &self.marks {
            paper.line(mark.class, (LEFT, y(mark.y)), (RIGHT, y(mark.y)));
            paper.text("small end", RIGHT - 4.0, y(mark.y) - 6.0, &mark.name);
        }
        for line in &self.lines {
            paper.curve(&class(line), line.points.iter().map(|point| (x(point.0), y(point.1))));
        }
        for (index, line) in self.lines.iter().enumerate() {
            let (column, row) = (index % 2, index / 2);
            let (at, level) = (LEFT + 400.0 * column as f64, BOTTOM + 62.0 + 22.0 * row as f64);
            paper.line(&format!("curve {}", class(line)), (at, level), (at + 30.0, level));
            paper.text("small", at + 40.0, level + 4.0, &line.name);
        }
        paper.finish()
    }
}

fn class(line: &Line) -> String {
    let colour = COLOURS[line.colour % COLOURS.len()];
    if line.faint { format!("{colour} faint") } else { colour.to_owned() }
}
