//! Whether the false alarms that were seen are those that were asked for.

use serde::Serialize;
use vae_core::Calibration;

use crate::{
    scoring::events::EventDetection,
    statistics::poisson::{at_least, most_behind},
};

/// Chance at which so many false alarms are no accident.
pub const NO_ACCIDENT: f64 = 0.01;
/// How often an upper limit of a rate is below the rate.
pub const DOUBT: f64 = 0.05;
/// Times the rate asked for that its upper limit may be for the rate to count as confirmed. With 3, no false alarm confirms it once
/// as much time was watched as one of them was expected in.
pub const CONFIRMED: f64 = 3.0;

/// False alarms per second that the model's threshold was set for; none where its file does not say: it was not calibrated on data in
/// the order of time, or without a sample rate.
#[must_use]
pub fn asked_for(calibration: &Calibration<'_>, hop: usize) -> Option<f64> {
    let windows_per_second = f64::from(calibration.sample_rate()?) / hop as f64;
    Some(f64::from(calibration.alarms_per_window()?) * windows_per_second)
}

/// What the false alarms say of the rate that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The rate is higher: so many are no accident.
    TooMany,
    /// The rate is at most [`CONFIRMED`] times what was asked for.
    Confirmed,
    /// The time was too short to tell.
    TooShort,
}

/// The false alarms that were seen, next to those that were asked for: a Poisson test, one-sided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FalseAlarmTest {
    /// False alarms.
    pub seen: usize,
    /// Seconds in which they could be raised: outside events, and with no alarm of an event still on.
    pub seconds: f64,
    /// False alarms per second that were asked for.
    pub asked: f64,
    /// False alarms to be expected in this time at the rate asked for.
    pub expected: f64,
    /// The chance of as many or more at the rate asked for.
    pub chance: f64,
    /// The most false alarms per second that these leave likely, with a confidence of 95 %; none where no time was watched.
    pub at_most: Option<f64>,
    /// What it comes to.
    pub outcome: Outcome,
}

impl FalseAlarmTest {
    /// Compares the `seen` false alarms of some seconds with the rate `asked` for, per second.
    #[must_use]
    pub fn new(seen: usize, seconds: f64, asked: f64) -> Self {
        let expected = asked * seconds;
        let chance = at_least(seen, expected);
        let at_most = (seconds > 0.0).then(|| most_behind(seen, DOUBT) / seconds);
        let outcome = if chance < NO_ACCIDENT {
            Outcome::TooMany
        } else if at_most.is_some_and(|at_most| at_most <= CONFIRMED * asked) {
            Outcome::Confirmed
        } else {
            Outcome::TooShort
        };
        Self { seen, seconds, asked, expected, chance, at_most, outcome }
    }

    /// The test on alarms of a model with this calibration, whose windows begin `hop` rows apart; none where its file states no rate.
    #[must_use]
    pub fn of(events: &EventDetection, calibration: &Calibration<'_>, hop: usize) -> Option<Self> {
        let asked = asked_for(calibration, hop)?;
        let rate = f64::from(calibration.sample_rate()?);
        Some(Self::new(events.false_alarms, events.watched_windows as f64 * hop as f64 / rate, asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: f64 = 3600.0;
    const DAY: f64 = 86_400.0;

    fn outcome(seen: usize, seconds: f64, asked: f64) -> Outcome {
        FalseAlarmTest::new(seen, seconds, asked).outcome
    }

    #[test]
    fn five_in_three_minutes_are_not_eight_an_hour() {
        let found = FalseAlarmTest::new(5, 2.9 * 60.0, 8.0 / HOUR);
        assert_eq!(found.outcome, Outcome::TooMany);
        // scipy: poisson.sf(4, 8 / 60 * 2.9), and chi2.ppf(0.95, 12) / 2.
        assert!((found.expected - 0.386_667).abs() < 1e-6);
        assert!((found.chance / 5.226_624_335_019_674e-5 - 1.0).abs() < 1e-9, "{}", found.chance);
        assert!((found.at_most.unwrap() * 174.0 - 10.513_034_908_741).abs() < 1e-9, "{:?}", found.at_most);
    }

    #[test]
    fn what_is_short_confirms_nothing() {
        assert_eq!(outcome(0, 2.9 * 60.0, 1.0 / DAY), Outcome::TooShort);
        assert_eq!(outcome(1, 2.9 * 60.0, 8.0 / HOUR), Outcome::TooShort);
        assert_eq!(outcome(1, 2.9 * 60.0, 1.0 / DAY), Outcome::TooMany, "a chance of 0.2 %");
        assert_eq!(outcome(0, 0.0, 1.0 / DAY), Outcome::TooShort);
        assert_eq!(FalseAlarmTest::new(0, 0.0, 1.0 / DAY).at_most, None);
    }

    #[test]
    fn none_confirms_a_rate_once_one_was_to_be_expected() {
        // −ln 0.05 / 3 = 0.9986 expected ones.
        assert_eq!(outcome(0, 0.998 * DAY, 1.0 / DAY), Outcome::TooShort);
        assert_eq!(outcome(0, 0.999 * DAY, 1.0 / DAY), Outcome::Confirmed);
        // Of as many as expected, three do: scipy's chi2.ppf(0.95, 2 * (k + 1)) / 2 is 4.74, 6.30, 7.75 for k = 1, 2, 3.
        assert_eq!(
            [1, 2, 3].map(|k| outcome(k, k as f64, 1.0)),
            [Outcome::TooShort, Outcome::TooShort, Outcome::Confirmed]
        );
        // poisson.sf(9, 4) is 0.0081, poisson.sf(8, 4) 0.021.
        assert_eq!([9, 10].map(|k| outcome(k, 4.0, 1.0)), [Outcome::TooShort, Outcome::TooMany]);
    }
}
