//! An SVG in the making.

use std::fmt::Write as _;

/// What all pictures look like. `a` to `d` are the colours of what is compared, in order.
const STYLE: &str = r#"
    text { font: 14px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1c2530; }
    .head { font-size: 19px; font-weight: 600; }
    .small { font-size: 12px; fill: #4a5765; }
    .mid { text-anchor: middle; }
    .end { text-anchor: end; }
    .paper { fill: #fbfcfd; stroke: #d5dce3; }
    .grid { stroke: #dfe5eb; }
    .axis { stroke: #7a8794; }
    .peer { stroke: #7a8794; stroke-width: 1.6; stroke-dasharray: 5 4; }
    .spread { stroke: #1c2530; stroke-width: 1.4; }
    .required { stroke: #c0392b; stroke-width: 2; }
    .goal { stroke: #2e8b57; stroke-width: 2; }
    .curve { fill: none; stroke-width: 2; }
    .faint { stroke-dasharray: 6 4; }
    .a { stroke: #2b5f9e; } .b { stroke: #c26a1b; } .c { stroke: #2e8b57; } .d { stroke: #8a4f9e; }
    .bar { fill: #2b5f9e; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e4e9ef; }
      .small { fill: #a9b6c3; }
      .paper { fill: #14191f; stroke: #333d48; }
      .grid { stroke: #28313b; }
      .axis, .peer { stroke: #76838f; }
      .spread { stroke: #e4e9ef; }
      .required { stroke: #e8786b; } .goal { stroke: #6cc795; }
      .a { stroke: #7fb2ea; } .b { stroke: #eda35e; } .c { stroke: #6cc795; } .d { stroke: #c792da; }
      .bar { fill: #4d87c7; }
    }
  "#;

/// A sheet of so many units.
pub(super) struct Paper {
    svg: String,
}

impl Paper {
    /// With a title, and in one sentence what a reader who cannot see it should know.
    pub(super) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let (title, description) = (escaped(title), escaped(description));
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">\n  <title id=\"title\">{title}</title>\n  \
             <desc id=\"desc\">{description}</desc>\n  <style>{STYLE}</style>\n  \
             <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
            width - 1.0,
            height - 1.0
        );
        let mut paper = Self { svg };
        paper.text("head", 24.0, 34.0, &title);
        paper
    }

    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        let _ = writeln!(self.svg, "  <text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.svg,
            "  <line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    pub(super) fn bar(&mut self, (x, y): (f64, f64), width: f64, height: f64) {
        let _ = writeln!(
            self.svg,
            "  <rect class=\"bar\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>"
        );
    }

    pub(super) fn curve(&mut self, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.svg, "  <polyline class=\"curve {class}\" points=\"{}\"/>", points.join(" "));
    }

    pub(super) fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A figure as people write it: 0.35, 2, 1,107.
pub(super) fn figure(figure: f64) -> String {
    if figure >= 1_000.0 {
        let whole = format!("{figure:.0}");
        let groups: Vec<&str> = whole
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|digits| str::from_utf8(digits).expect("digits are ASCII"))
            .collect();
        return groups.join(",");
    }
    let written = match figure {
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    };
    if written.contains('.') {
        written.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_people_write_them() {
        let written = [0.351, 2.0, 37.25, 1107.4, 1_000_000.0, 0.0, 100.0].map(figure);
        assert_eq!(written, ["0.35", "2", "37.2", "1,107", "1,000,000", "0", "100"]);
    }

    #[test]
    fn text_never_breaks_the_picture() {
        let mut paper = Paper::new(10.0, 10.0, "a < b & c", "");
        paper.text("small", 0.0, 0.0, "x > y");
        let svg = paper.finish();
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains("x &gt; y"));
    }
}
