//! From a figure to a place on the paper.

/// One axis: figures from `low` to `high` lie on the paper from `from` to `to`.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    /// From zero, even steps.
    pub fn linear(high: f64) -> Self {
        Self { low: 0.0, high, logarithmic: false }
    }

    /// Each step the same factor; both ends are above zero.
    pub fn logarithmic(low: f64, high: f64) -> Self {
        Self { low, high, logarithmic: true }
    }

    /// Where a figure lies; what is off the scale lies at its end.
    pub(super) fn place(&self, figure: f64, from: f64, to: f64) -> f64 {
        let figure = figure.clamp(self.low, self.high);
        let share = if self.logarithmic {
            (figure / self.low).ln() / (self.high / self.low).ln()
        } else {
            (figure - self.low) / (self.high - self.low)
        };
        from + share * (to - from)
    }

    /// The figures that are written beside the axis: some four to eight round ones.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let wide = (self.high / self.low).log10() > 2.5;
            let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let ticks = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
            ticks.filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick)).collect()
        } else {
            let rough = (self.high - self.low) / 5.0;
            let decade = 10_f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * decade);
            let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
            (0..)
                .map(|index| self.low + f64::from(index) * step)
                .take_while(|tick| *tick <= self.high * 1.001)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_lie_between_the_ends_of_the_paper() {
        let linear = Scale::linear(200.0);
        assert_eq!(linear.place(50.0, 100.0, 500.0), 200.0);
        assert_eq!(linear.place(900.0, 100.0, 500.0), 500.0);
        let logarithmic = Scale::logarithmic(1.0, 100.0);
        assert!((logarithmic.place(10.0, 0.0, 100.0) - 50.0).abs() < 1e-9);
        assert_eq!(logarithmic.place(0.0, 0.0, 100.0), 0.0);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(Scale::linear(100.0).ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let ticks = Scale::logarithmic(0.1, 5.0).ticks();
        assert_eq!(ticks.len(), 6);
        assert_eq!(Scale::logarithmic(10.0, 1_000_000.0).ticks().len(), 6);
    }
}
