//! The times of a machine's rows: whether they go forwards, and where rows are missing.

/// An interval longer than this many of the model's is a gap: what the trainer takes for one where intervals are alike.
const GAP: f64 = 1.5;

/// What a row's time says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tick {
    /// The row follows the one before it.
    Next,
    /// Rows are missing before it, so many seconds of them.
    Gap(f64),
    /// It is earlier than the row before it.
    Backwards {
        /// The time before, in seconds.
        before: f64,
    },
}

/// Compares each row's time with that of the row before it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds from one row to the next; none where the model does not say.
    period: Option<f64>,
    last: Option<f64>,
    /// Rows since the time changed last, of a clock that is coarser than the rows.
    rows: f64,
}

impl Clock {
    /// A clock for rows that come at this rate, in Hz; where it is not known, gaps are not, either.
    #[must_use]
    pub fn new(rate: Option<f32>) -> Self {
        Self { period: rate.map(|rate| 1.0 / f64::from(rate)), last: None, rows: 0.0 }
    }

    /// Takes the next row's time, in seconds; one that is missing (NaN) says nothing.
    ///
    /// Where several rows have the same time, as on a clock of whole seconds, the next time may be as many periods later.
    pub fn tick(&mut self, time: f64) -> Tick {
        self.rows += 1.0;
        if time.is_nan() {
            return Tick::Next;
        }
        let Some(before) = self.last.replace(time) else {
            self.rows = 0.0;
            return Tick::Next;
        };
        if time < before {
            self.rows = 0.0;
            return Tick::Backwards { before };
        }
        if time == before {
            return Tick::Next;
        }
        let rows = std::mem::take(&mut self.rows);
        match self.period {
            Some(period) if time - before > GAP * period * rows => Tick::Gap(time - before - period * rows),
            _ => Tick::Next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(rate: Option<f32>, times: &[f64]) -> Vec<Tick> {
        let mut clock = Clock::new(rate);
        times.iter().map(|time| clock.tick(*time)).collect()
    }

    #[test]
    fn gaps_are_longer_than_one_and_a_half_periods() {
        let gaps = ticks(Some(4.0), &[0.0, 0.25, 0.5, 0.85, 1.0, 2.0, 2.25]);
        assert_eq!(gaps[..5], [Tick::Next; 5]);
        assert_eq!(gaps[5..], [Tick::Gap(0.75), Tick::Next]);
        assert!(ticks(None, &[0.0, 1.0, 100.0]).iter().all(|tick| *tick == Tick::Next), "no rate, no gaps");
    }

    #[test]
    fn rows_of_one_second_are_not_followed_by_a_gap() {
        let mut times = vec![0.0; 4];
        times.extend([1.0; 4]);
        times.extend([2.0; 2]);
        times.extend([3.0; 4]);
        let found = ticks(Some(4.0), &times);
        let gaps: Vec<usize> = (0..found.len()).filter(|index| matches!(found[*index], Tick::Gap(_))).collect();
        // Two of the four rows of the third second are missing; the first second has one row less, for it begins with one.
        assert_eq!(gaps, [10], "{found:?}");
    }

    #[test]
    fn missing_times_count_as_rows_and_earlier_ones_are_told() {
        assert_eq!(ticks(Some(1.0), &[0.0, f64::NAN, 2.0, 3.0]), [Tick::Next; 4]);
        assert_eq!(ticks(Some(1.0), &[5.0, 4.0, 5.0]), [Tick::Next, Tick::Backwards { before: 5.0 }, Tick::Next]);
    }
}
