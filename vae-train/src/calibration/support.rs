//! Whether a recording supports a rate of false alarms, and what would.

use anyhow::{Result, bail, ensure};

use crate::{
    calibration::{
        changes::Changes,
        false_alarms::FalseAlarms,
        tail_fit::BODY,
        votes_tail::{ALARMS, TOGETHER, VotesTail},
    },
    words::rates::{parse_alarms, rate_at_least, rate_at_most, span},
};

/// Times the requested rate that the upper end of the interval may be for the request to count as supported: beyond an
/// order of magnitude, "one per week" may as well be more than one per day.
pub const TOLERANCE: f64 = 10.0;

/// Highest [`slowness`] of a recording that is steady: once in a thousand it is more.
const SLOWEST: f64 = 4.0;

/// Fewest independent stretches that the highest scores must come from, where they come in stretches at all: with more than so many times
/// the variance of a Poisson's counts, which is so by chance less than once in a thousand.
const STRETCHES: f64 = 10.0;
const CLUSTERED: f64 = 4.0;

impl FalseAlarms {
    /// Checks that a rate of alarms per window can be promised, of which `windows_per_second` are scored.
    ///
    /// # Errors
    /// If the upper end of the interval is more than [`TOLERANCE`] times the rate, alarms so frequent are not rare ones, or the recording
    /// is too unsteady to tell; the error says what would be needed and what the normal data do support.
    pub fn support(&self, rate: f64, windows_per_second: f64, changes: Option<&Changes>) -> Result<()> {
        ensure!(rate > 0.0 && windows_per_second > 0.0, "rates must be above 0");
        let text = |rate: f64| rate_at_most(rate * windows_per_second);
        let time = |windows: f64| span(windows / windows_per_second);
        let highest = self.highest_rate();
        ensure!(
            rate <= highest,
            "{} false alarms are too frequent to be told from the tail of the scores: ask for {} or less",
            text(rate),
            rate_at_least(highest * windows_per_second)
        );
        ensure!(
            self.slowness <= SLOWEST,
            "{} windows ({}) of normal data do not tell how often normal data raise alarms: their scores drift, or have a rhythm longer \
             than a tenth of the recording (the means of its eighths vary {:.1} times as much as the means of its 64ths let expect); \
             record at least ten cycles of the rhythm",
            self.windows,
            time(self.windows),
            self.slowness
        );
        let stretches = self.stretches();
        let is_clustered = self.dispersion.max(self.votes.dispersion) > CLUSTERED;
        ensure!(
            stretches >= STRETCHES || !is_clustered,
            "the least normal of {} windows ({}) of normal data come in about {stretches:.0} separate stretches, and {STRETCHES} are \
             needed: record about {}",
            self.windows,
            time(self.windows),
            time(self.windows * STRETCHES / stretches)
        );
        if self.is_supported(rate, changes) {
            return Ok(());
        }
        let (_, most) = self.interval(rate, changes);
        let needed = self.windows_needed(rate, changes).map_or_else(
            || "no recording would be long enough".to_owned(),
            |needed| format!("about {needed:.0} windows ({}) are needed", time(needed)),
        );
        // As it will be read: rounding may lead out of what is supported.
        let least =
            [text(self.least_rate(changes)), rate_at_least(highest * windows_per_second)].into_iter().find(|text| {
                parse_alarms(text)
                    .is_ok_and(|alarms| self.is_supported(f64::from(alarms.per_second()) / windows_per_second, changes))
            });
        bail!(
            "{} windows ({}) of normal data do not support {} false alarms: there might be {}; {needed}; these windows support {}",
            self.windows,
            time(self.windows),
            text(rate),
            text(most),
            least.as_deref().unwrap_or("no rate")
        )
    }

    /// What no recording of this length tells, in words, of which `windows_per_second` are scored.
    #[must_use]
    pub fn horizon(&self, windows_per_second: f64) -> String {
        format!(
            "knows no rhythm longer than a tenth of the recording, {}",
            span(self.windows / 10.0 / windows_per_second)
        )
    }

    /// How many independent stretches of the recording the highest scores, or alarms, come from.
    fn stretches(&self) -> f64 {
        (self.single.count / self.dispersion).min(self.votes.count / self.votes.dispersion)
    }

    fn is_supported(&self, rate: f64, changes: Option<&Changes>) -> bool {
        rate <= self.highest_rate() && self.interval(rate, changes).1 <= TOLERANCE * rate
    }

    /// The rate of alarms, per window, up to which alarms and the windows that raise them are rare.
    fn highest_rate(&self) -> f64 {
        let VotesTail { base, power, .. } = self.votes;
        BODY.min(base * libm::pow(TOGETHER, power))
    }

    /// The lowest rate of alarms per window that is supported, within a tenth.
    #[must_use]
    pub fn least_rate(&self, changes: Option<&Changes>) -> f64 {
        let rarer = std::iter::successors(Some(self.highest_rate()), |rate| Some(rate / 1.1));
        let supported = rarer.take_while(|rate| *rate > f64::MIN_POSITIVE && self.is_supported(*rate, changes));
        supported.last().unwrap_or(self.highest_rate())
    }

    /// How many windows of normal data would support a rate of alarms per window, within a tenth, if the tail is as it was
    /// fitted; nothing if more than 10¹⁵.
    #[must_use]
    pub fn windows_needed(&self, rate: f64, changes: Option<&Changes>) -> Option<f64> {
        let more = std::iter::successors(Some(self.windows), |windows| Some(windows * 1.1));
        more.take_while(|windows| *windows < 1e15).find(|&windows| {
            let times = windows / self.windows;
            let count = (self.votes.count * times).min(ALARMS.max(self.votes.count));
            let votes = VotesTail { count, ..self.votes };
            let changes = changes.map(|changes| Changes { count: changes.count * times, windows, ..*changes });
            let single = self.single.with_windows(windows);
            single.is_ok_and(|single| {
                Self { windows, single, votes, ..*self }.interval(rate, changes.as_ref()).1 <= TOLERANCE * rate
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use vae_core::Alarms;

    use super::*;
    use crate::calibration::{
        false_alarms::tests::independent,
        votes_tail::tests::{SINGLE, VOTES},
    };

    #[test]
    fn what_is_not_supported_says_what_would_be() {
        let hour = FalseAlarms::of(&independent(3, 3600), &[], SINGLE).unwrap();
        let yearly = f64::from(Alarms::per_year(1.0).per_second());
        let error = hour.support(yearly, 1.0, None).unwrap_err().to_string();
        assert!(error.contains("3600 windows (1.0 h)") && error.contains(" 1/year"), "{error}");
        assert!(hour.support(0.1, 1.0, None).unwrap_err().to_string().contains("too frequent"));
        let least = hour.least_rate(None);
        assert!(hour.support(least, 1.0, None).is_ok() && hour.support(least / 1.2, 1.0, None).is_err());
        assert!(error.contains(&rate_at_most(least)), "{error}");

        // What is asked for is enough, when it comes from the same source.
        let needed = hour.windows_needed(least / 10.0, None).unwrap();
        assert!(needed > 2.0 * 3600.0);
        let longer = FalseAlarms::of(&independent(4, (1.5 * needed) as usize), &[], SINGLE).unwrap();
        assert!(longer.support(least / 10.0, 1.0, None).is_ok(), "{needed}");
    }

    #[test]
    fn a_rate_that_is_advised_is_accepted() {
        for (seed, windows) in [(20, 700), (21, 1000), (22, 2000), (23, 5000)] {
            let found = FalseAlarms::of(&independent(seed, windows), &[], SINGLE).unwrap();
            for windows_per_second in [0.001, 0.3, 1.0, 1.7, 50.0, 900.0] {
                let refusal = |rate: f64| found.support(rate, windows_per_second, None).unwrap_err().to_string();
                let per_window = |text: &str| f64::from(parse_alarms(text).unwrap().per_second()) / windows_per_second;
                let message = refusal(2.0 * found.highest_rate());
                let advised = message.split_once("ask for ").unwrap().1.strip_suffix(" or less").unwrap();
                let highest = per_window(advised);
                assert!(highest <= found.highest_rate() && highest > 0.9 * found.highest_rate(), "{message}");
                let message = refusal(1e-9 * found.highest_rate());
                match message.rsplit_once("these windows support ").unwrap().1 {
                    "no rate" => assert!(found.support(highest, windows_per_second, None).is_err(), "{message}"),
                    advised => found.support(per_window(advised), windows_per_second, None).unwrap(),
                }
            }
        }
    }

    #[test]
    fn what_is_slow_is_refused_and_what_is_steady_is_not() {
        let refusal = |scores: &[f64]| {
            let found = FalseAlarms::of(scores, &[], SINGLE).unwrap();
            found.support(1.0 / 1000.0, 1.0, None).err().map(|error| error.to_string())
        };
        let scaled = |seed, cycles: f64| -> Vec<f64> {
            let wave = |index: usize| (std::f64::consts::TAU * cycles * (index as f64 / 20_000.0 + 0.1)).sin();
            independent(seed, 20_000)
                .iter()
                .enumerate()
                .map(|(index, score)| score * (0.3 * wave(index)).exp())
                .collect()
        };
        let steady = (0..20).filter(|seed| refusal(&scaled(*seed, 0.0)).is_none()).count();
        assert!(steady >= 19, "{steady}");
        for seed in 0..5 {
            for cycles in [0.5, 1.0, 3.0] {
                let refusal = refusal(&scaled(seed, cycles)).unwrap_or_default();
                assert!(
                    refusal.contains("20000 windows (5.6 h)") && refusal.contains("a rhythm"),
                    "{cycles}: {refusal}"
                );
            }
        }
        // Many whole cycles are known.
        assert_eq!(refusal(&scaled(1, 20.0)), None);
        let found = FalseAlarms::of(&scaled(1, 20.0), &[], SINGLE).unwrap();
        assert_eq!(found.horizon(1.0), "knows no rhythm longer than a tenth of the recording, 33.3 min");
    }

    #[test]
    fn few_stretches_are_refused() {
        // Three bursts, in which all high scores are.
        let mut scores = independent(9, 20_000);
        for burst in [3000, 9000, 16_500] {
            scores[burst..burst + 400].iter_mut().for_each(|score| *score += 20.0);
        }
        let error = FalseAlarms::of(&scores, &[], VOTES[1]).unwrap().support(1e-3, 1.0, None).unwrap_err().to_string();
        assert!(error.contains("stretches") && error.contains("record about"), "{error}");
    }
}
