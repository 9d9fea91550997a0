//! Sorted values and what is read off them.

/// At least one value, sorted.
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Spread(values))
    }

    /// The smallest value that at least that share of all does not exceed (nearest rank).
    pub(crate) fn at(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    /// Half are below.
    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The largest.
    pub(crate) fn largest(&self) -> f64 {
        self.at(1.0)
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
