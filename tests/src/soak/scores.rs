//! Scores on the calibration's scale, and how rare they are.

use anyhow::{Result, ensure};
use vae_core::{Calibration, Tail};

use super::{
    P_VALUE_ERROR,
    enclosed::{Enclosed, UNIT},
};

/// The scores of a calibration, and those of the baseline.
pub(crate) struct Scores {
    quantiles: Vec<f64>,
    tail: Tail,
    count: f64,
    /// Mean and standard deviation of −score in the calibration.
    pub(crate) centre: f64,
    pub(crate) spread: f64,
    /// Mean of −score on the baseline, and what multiplies the distance from it.
    pub(crate) own_centre: f64,
    pub(crate) factor: f64,
}

impl Scores {
    pub(crate) fn new(calibration: &Calibration<'_>, quantiles: &[f32]) -> Self {
        let (centre, spread) = calibration.location_and_scale();
        Self {
            quantiles: quantiles.iter().map(|quantile| f64::from(*quantile)).collect(),
            tail: calibration.tail(),
            count: calibration.scores().into(),
            centre: centre.into(),
            spread: spread.into(),
            own_centre: centre.into(),
            factor: 1.0,
        }
    }

    /// Goes back to the calibration's.
    pub(crate) fn forget(&mut self) {
        (self.own_centre, self.factor) = (self.centre, 1.0);
    }

    /// A −score on the calibration's scale: as it is, where it is that of the calibration.
    pub(crate) fn nats(&self, score: Enclosed) -> Enclosed {
        if self.own_centre == self.centre && self.factor == 1.0 {
            return -score;
        }
        let [centre, own_centre, factor] = [self.centre, self.own_centre, self.factor].map(Enclosed::exact);
        centre + factor * (-score - own_centre)
    }

    /// The middle quantile of −score.
    pub(crate) fn median(&self) -> Enclosed {
        Enclosed::exact(-self.quantiles[self.quantiles.len() / 2])
    }

    /// The chance that a normal window has these nats or more.
    pub(crate) fn p_value(&self, nats: Enclosed) -> Enclosed {
        // It falls as the nats rise.
        let [(value, _), (low, low_error), (high, high_error)] =
            [nats.value, nats.high, nats.low].map(|nats| self.p_value_at(nats));
        Enclosed { value, low: low - low_error, high: high + high_error }
    }

    /// The p-value, and how far off it may be in `f32`.
    fn p_value_at(&self, nats: f64) -> (f64, f64) {
        let (start, rate) = (f64::from(self.tail.start), f64::from(self.tail.rate));
        if nats > start && rate > 0.0 {
            let p = rate_above(self.tail, nats).min(rate);
            return (p, P_VALUE_ERROR * p * (1.0 - p.max(1e-300).ln()) + f64::from(f32::MIN_POSITIVE));
        }
        let least = 1.0 / (self.count + 1.0);
        let above = self.quantiles.partition_point(|quantile| *quantile <= -nats);
        let fraction = match above {
            0 => 0.0,
            above if above == self.quantiles.len() => 1.0,
            above => {
                let [low, high] = [self.quantiles[above - 1], self.quantiles[above]];
                ((above - 1) as f64 + (-nats - low) / (high - low)) / (self.quantiles.len() - 1) as f64
            }
        };
        // Three roundings of a part of a step, one of the steps' number, one of the quotient: 2.1 halves of a unit.
        (fraction.max(rate).max(least), 4.0 * UNIT)
    }

    /// # Errors
    /// Where the detector's p-value is another one.
    pub(crate) fn check_p_value(&self, nats: Enclosed, found: f32) -> Result<()> {
        let expected = self.p_value(nats);
        ensure!(expected.holds(found.into()), "the p-value of {nats:?} nats is {found}, not {expected:?}");
        Ok(())
    }
}

/// Events per window above these nats, by `FORMAT.md`.
pub(crate) fn rate_above(tail: Tail, nats: f64) -> f64 {
    let Tail { start, rate, scale, shape, base } = tail;
    let [start, rate, scale, shape, base] = [start, rate, scale, shape, base].map(f64::from);
    let product = shape * (nats - start) / scale;
    let growth = if shape == 0.0 { (nats - start) / scale } else { product.ln_1p() / shape };
    if product <= -1.0 { 0.0 } else { base * ((rate / base).ln() * growth.exp()).exp() }
}

/// The nats above which there are so many events per window.
pub(crate) fn level(tail: Tail, events: f64) -> f64 {
    let Tail { start, rate, scale, shape, base } = tail;
    let [start, rate, scale, shape, base] = [start, rate, scale, shape, base].map(f64::from);
    let growth = (events / base).ln() / (rate / base).ln();
    let steps = if shape == 0.0 { growth.ln() } else { (growth.powf(shape) - 1.0) / shape };
    start + scale * steps
}
