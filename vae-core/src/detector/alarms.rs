//! How many false alarms are bearable.

/// A rate of alarms: at most so many per unit of time.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Alarms {
    per_second: f32,
}

impl Alarms {
    const HOUR: f32 = 3600.0;
    const DAY: f32 = 24.0 * Self::HOUR;
    const YEAR: f32 = 365.25 * Self::DAY;

    /// So many alarms in an hour.
    #[must_use]
    pub const fn per_hour(count: f32) -> Self {
        Self { per_second: count / Self::HOUR }
    }

    /// So many alarms in a day.
    #[must_use]
    pub const fn per_day(count: f32) -> Self {
        Self { per_second: count / Self::DAY }
    }

    /// So many alarms in a week.
    #[must_use]
    pub const fn per_week(count: f32) -> Self {
        Self { per_second: count / (7.0 * Self::DAY) }
    }

    /// So many alarms in a month, the twelfth part of a year.
    #[must_use]
    pub const fn per_month(count: f32) -> Self {
        Self { per_second: count / (Self::YEAR / 12.0) }
    }

    /// So many alarms in a year of 365.25 days.
    #[must_use]
    pub const fn per_year(count: f32) -> Self {
        Self { per_second: count / Self::YEAR }
    }

    /// The rate in alarms per second.
    #[must_use]
    pub const fn per_second(self) -> f32 {
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_multiples_of_each_other() {
        const WEEKLY: Alarms = Alarms::per_week(1.0);
        // One division each, so within one unit in the last place.
        for same in [
            Alarms::per_hour(1.0 / 168.0),
            Alarms::per_day(1.0 / 7.0),
            Alarms::per_month(365.25 / 84.0),
            Alarms::per_year(365.25 / 7.0),
        ] {
            assert!((same.per_second() / WEEKLY.per_second() - 1.0).abs() <= 2.0 * f32::EPSILON, "{same:?}");
        }
        assert_eq!(WEEKLY.per_second(), 1.0 / 604_800.0);
    }
}
