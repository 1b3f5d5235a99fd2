//! A verdict in 128 bits: the engine takes a scalar for each row, and one of a struct would cost it several allocations and a copy of each field.

use datafusion::{
    arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit},
    common::ScalarValue,
};
use vae_core::Verdict;

use crate::function::verdicts::{CAUSES, VERDICTS, cause, channel, verdict};

/// The type that has the bits: an interval's three numbers, which mean something else here.
pub(super) const PACKED: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

const HAS_SCORE: u64 = 1 << 32;
const HAS_CHANNEL: u64 = 1 << 33;
const IS_RAISED: u64 = 1 << 34;
const VERDICT: u32 = 40;
const CAUSE: u32 = 48;

/// What is known of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) score_and_p_value: Option<(f32, f32)>,
    pub(super) channel: Option<usize>,
    pub(super) verdict: &'static str,
    pub(super) cause: Option<&'static str>,
    pub(super) is_raised: bool,
}

impl Said {
    pub(super) fn of(judged: &Verdict, is_raised: bool) -> Self {
        Self {
            score_and_p_value: judged.assessment().map(|assessment| (assessment.score, assessment.p_value)),
            channel: channel(judged),
            verdict: verdict(judged),
            cause: cause(judged),
            is_raised,
        }
    }

    /// As a scalar.
    pub(super) fn packed(self) -> ScalarValue {
        let place = |names: &[&str], name| names.iter().position(|other| *other == name).unwrap_or_default() as u64;
        let (score, p_value) = self.score_and_p_value.unwrap_or_default();
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let bits = self.channel.unwrap_or_default() as u64 & u64::from(u32::MAX)
            | flag(self.score_and_p_value.is_some(), HAS_SCORE)
            | flag(self.channel.is_some(), HAS_CHANNEL)
            | flag(self.is_raised, IS_RAISED)
            | place(&VERDICTS, self.verdict) << VERDICT
            | self.cause.map_or(0, |cause| 1 + place(&CAUSES, cause)) << CAUSE;
        let (months, days) = (score.to_bits().cast_signed(), p_value.to_bits().cast_signed());
        ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, bits.cast_signed())))
    }

    /// Of what [`Self::packed`] has made.
    pub(super) fn unpacked(packed: IntervalMonthDayNano) -> Self {
        let number = |bits: i32| f32::from_bits(bits.cast_unsigned());
        let bits = packed.nanoseconds.cast_unsigned();
        let has = |flag| bits & flag != 0;
        let at = |shift: u32| (bits >> shift & 0xff) as usize;
        Self {
            score_and_p_value: has(HAS_SCORE).then(|| (number(packed.months), number(packed.days))),
            channel: has(HAS_CHANNEL).then_some((bits & u64::from(u32::MAX)) as usize),
            verdict: VERDICTS.get(at(VERDICT)).copied().unwrap_or_default(),
            cause: at(CAUSE).checked_sub(1).and_then(|place| CAUSES.get(place)).copied(),
            is_raised: has(IS_RAISED),
        }
    }
}

/// The scalar of a row that completes no window.
pub(super) const fn nothing() -> ScalarValue {
    ScalarValue::IntervalMonthDayNano(None)
}

#[cfg(test)]
mod tests {
    use vae_core::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind};

    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let assessment = Assessment { score: -3.5e-7, p_value: f32::MIN_POSITIVE, missing: 0 };
        let anomaly = Anomaly { assessment, channel: u32::MAX, channel_nats: 1.0, feature: 1, feature_nats: 1.0 };
        let mut verdicts = vec![Verdict::Normal(assessment), Verdict::Anomalous(anomaly)];
        for kind in
            [SensorFaultKind::Missing, SensorFaultKind::Stuck, SensorFaultKind::Saturated, SensorFaultKind::OutOfRange]
        {
            verdicts.push(Verdict::SensorFault(SensorFault { channel: 2, kind }));
        }
        let drifts = [
            DriftKind::Score(1.0),
            DriftKind::Spread(1.0),
            DriftKind::Mean { channel: 0, shift: 1.0 },
            DriftKind::Power { channel: 3, factor: 1.0 },
        ];
        verdicts.extend(drifts.map(|kind| Verdict::Drifting(Drift { assessment, kind })));
        for judged in verdicts {
            for is_raised in [false, true] {
                let said = Said::of(&judged, is_raised);
                let ScalarValue::IntervalMonthDayNano(Some(packed)) = said.packed() else { panic!("{judged:?}") };
                assert_eq!(Said::unpacked(packed), said, "{judged:?}");
            }
        }
    }
}
