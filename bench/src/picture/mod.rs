//! The pictures of docs/benchmarks.md, drawn from the figures in `bench/figures`.
//!
//! Plain SVG with text that can be searched, in the colours of the other pictures of the documentation, light or dark as
//! the reader's screen is; a plotting library would bring fonts and one fixed palette.

mod chart;
mod paper;
mod ratios;
mod scale;

pub use chart::{Chart, Line, Mark};
pub use ratios::{Ratio, ratios};
pub use scale::Scale;
