//! What is normal: the scores of held-out normal windows.

/// Quantiles of the ELBO of held-out normal windows, and the threshold chosen from them.
#[derive(Clone, Copy, Debug)]
pub struct Calibration<'m> {
    quantiles: &'m [f32],
    scores: u32,
    threshold: f32,
}

impl<'m> Calibration<'m> {
    pub(crate) const fn new(quantiles: &'m [f32], scores: u32, threshold: f32) -> Self {
        Self { quantiles, scores, threshold }
    }

    /// ELBO below which a window is anomalous, in nats.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Number of normal windows that the calibration was computed from.
    #[must_use]
    pub fn scores(&self) -> u32 {
        self.scores
    }

    /// Whether an ELBO (in nats) is below the threshold.
    #[must_use]
    pub fn is_anomalous(&self, elbo: f32) -> bool {
        elbo < self.threshold
    }

    /// The chance that a normal window has an ELBO as low as `elbo` (in nats) or lower.
    ///
    /// Interpolated between the stored quantiles; never below `1 / (n + 1)`, the least that n scores can show. 1 for a
    /// model that is not calibrated.
    #[must_use]
    pub fn p_value(&self, elbo: f32) -> f32 {
        let least = 1.0 / (self.scores as f32 + 1.0);
        let above = self.quantiles.partition_point(|quantile| *quantile <= elbo);
        let steps = self.quantiles.len().saturating_sub(1) as f32;
        let fraction = match above.checked_sub(1).map(|below| (self.quantiles.get(below), self.quantiles.get(above))) {
            // Below all quantiles, or there are none.
            None => return if self.quantiles.is_empty() { 1.0 } else { least },
            Some((Some(low), Some(high))) => ((above - 1) as f32 + (elbo - low) / (high - low)) / steps,
            Some(_) => 1.0,
        };
        if fraction > least { fraction } else { least }
    }

    pub(crate) fn is_sound(&self) -> bool {
        let mut least = f32::MIN;
        let mut sound = self.threshold.is_finite();
        for &quantile in self.quantiles {
            sound &= quantile.is_finite() && quantile >= least;
            least = quantile;
        }
        sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_invert_the_quantiles() {
        let calibration = Calibration::new(&[-10.0, -4.0, -2.0, -2.0, 0.0], 99, -8.0);
        for (elbo, p) in
            [(-50.0, 0.01), (-10.0, 0.01), (-7.0, 0.125), (-4.0, 0.25), (-2.0, 0.75), (-1.0, 0.875), (3.0, 1.0)]
        {
            assert!((calibration.p_value(elbo) - p).abs() < 1e-6, "{elbo}: {}", calibration.p_value(elbo));
        }
        assert!(calibration.is_anomalous(-8.5) && !calibration.is_anomalous(-8.0));
        assert_eq!(Calibration::new(&[], 0, 0.0).p_value(-1e9), 1.0);
    }
}
