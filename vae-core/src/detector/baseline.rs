//! A new normal, made of a machine that is known to be healthy.

use crate::detector::{Detector, channel::channels, error::DetectorError};
#[cfg(feature = "mixed")]
use crate::format::kind::FeatureFamily;

/// Fewest windows of a new baseline, and fewest independent ones' worth of them.
pub const LEAST_BASELINE: u32 = 32;

impl Detector<'_, '_> {
    /// Makes the next `windows` windows the new normal: the mean and scale of each channel from the first half of them, the location
    /// and scale of the scores, and with them quantiles, threshold and limits, from the second. Of a model with front-ends, the first
    /// quarter gives the means of the channels, whose scales stay, and the second quarter what each feature is off what the model makes of
    /// it, which is subtracted from then on: bands in which this machine is louder than others of its kind. There are no verdicts meanwhile
    /// but [`Verdict::SensorFault`](crate::Verdict::SensorFault); windows of such sensors do not count.
    ///
    /// To be called when the machine is known to be healthy, as after a repair or the replacement of a sensor, or when a model that was
    /// trained on one machine is put to another of the same kind (`docs/calibration.md` says what that gives), for as long as shows what
    /// it ordinarily does. A scale is changed only where it differs by what would be a drift, and scores are never given a narrower
    /// spread than they had in the calibration. The limits of drift are widened by what so many windows leave uncertain. [`Self::forget`]
    /// goes back to the calibration, and a [snapshot](Self::snapshot) that was taken before to what it was taken of.
    ///
    /// One absurd value that lies within a sensor's range does no harm: of each channel the hop with the greatest power is left out,
    /// features are moved by at most four standard deviations for each window, over the number of windows and twice that, and left out are
    /// scores 64 of the calibration's spreads below the others (for which it takes at most as many windows more). Features off by more than
    /// `8 ln(1 + windows / 32)` standard deviations of what the model leaves unexplained are not followed to the end.
    ///
    /// # Errors
    /// [`DetectorError::ShortBaseline`] for fewer windows than [`LEAST_BASELINE`] times [`Calibration::dependence`](crate::Calibration::dependence);
    /// [`DetectorError::Alarmed`] while an alarm is raised, which somebody has to [acknowledge](Self::acknowledge) first;
    /// [`DetectorError::Locked`] after [`Self::lock`].
    pub fn rebaseline(&mut self, windows: u32) -> Result<(), DetectorError> {
        self.check_unlocked()?;
        let needed = libm::ceilf(LEAST_BASELINE as f32 * self.calibration.dependence().max(1.0)) as u32;
        if windows < needed {
            return Err(DetectorError::ShortBaseline { needed, found: windows });
        }
        if self.is_raised() {
            return Err(DetectorError::Alarmed);
        }
        self.forget_all()?;
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, _)| channel.begin_measuring());
        self.running.baseline_windows = windows;
        Ok(())
    }

    /// Whether a new baseline is being made.
    #[must_use]
    pub fn is_rebaselining(&self) -> bool {
        self.running.is_measuring()
    }

    /// Whether features are adapted to the machine, and not only channels.
    pub(crate) fn adapts_features(&self) -> bool {
        self.has_levels && self.model.has_front_end()
    }

    /// Of a new baseline's windows, those that channels are measured in.
    pub(crate) fn channels_windows(&self) -> u32 {
        self.running.baseline_windows / if self.adapts_features() { 4 } else { 2 }
    }

    pub(crate) fn is_measuring_channels(&self) -> bool {
        self.running.baseline_done < self.channels_windows()
    }

    /// Averages a window's channels into the new baseline.
    pub(crate) fn measure_channels(&mut self) {
        self.running.baseline_done += 1;
        let done = self.running.baseline_done;
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, normal)| channel.measure(done, &normal));
        if !self.is_measuring_channels() {
            self.running.baseline_size = self.running.baseline_done;
            // Where features follow the machine, by what the model tells of its load, a channel's scale does not, which its load changes.
            let width = if self.adapts_features() { f32::INFINITY } else { self.running.width(&self.calibration) };
            let channels = channels(self.state, &self.calibration, self.model.channels());
            // States have no level that could be another's on this machine, and stay zeros and ones.
            #[cfg(feature = "mixed")]
            let channels = {
                let mut families = self.model.families().ok().into_iter().flatten();
                channels.filter_map(move |(mut channel, normal)| {
                    if families.next().is_some_and(FeatureFamily::is_discrete) {
                        *channel.ordinary_power = 1.0;
                        channel.forget_drift(&normal);
                        return None;
                    }
                    Some((channel, normal))
                })
            };
            channels.for_each(|(mut channel, normal)| channel.rebase(&normal, width));
            self.window.clear();
        }
    }
}
