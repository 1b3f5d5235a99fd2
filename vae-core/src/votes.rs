//! m of n votes, with hysteresis.

/// Raises an alarm when m of the last n windows are anomalous, and clears it when none of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Votes {
    needed: u32,
    /// A one for each of the last n windows.
    last: u32,
    /// The last windows' votes, the newest in the lowest bit.
    history: u32,
    raised: bool,
}

/// Most windows that vote.
pub const MOST_VOTES: u32 = 32;

impl Votes {
    /// `needed` of the last `of` windows, `1 ≤ needed ≤ of ≤ 32`; none for other numbers.
    #[must_use]
    pub const fn new(needed: u32, of: u32) -> Option<Self> {
        if needed == 0 || needed > of || of > MOST_VOTES {
            return None;
        }
        Some(Self { needed, last: u32::MAX >> (MOST_VOTES - of), history: 0, raised: false })
    }

    /// Counts a window's vote; returns whether the alarm is raised now.
    pub fn push(&mut self, anomalous: bool) -> bool {
        self.history = ((self.history << 1) | u32::from(anomalous)) & self.last;
        self.raised = self.history.count_ones() >= self.needed || (self.raised && self.history != 0);
        self.raised
    }

    /// Whether the alarm is raised.
    #[must_use]
    pub const fn is_raised(&self) -> bool {
        self.raised
    }

    /// `(needed, of)`
    #[must_use]
    pub const fn rule(&self) -> (u32, u32) {
        (self.needed, self.last.count_ones())
    }

    /// Forgets all votes.
    pub fn clear(&mut self) {
        (self.history, self.raised) = (0, false);
    }

    /// What a snapshot holds.
    pub(crate) const fn state(&self) -> [u32; 2] {
        [self.history, self.raised as u32]
    }

    pub(crate) fn set_state(&mut self, [history, raised]: [u32; 2]) {
        (self.history, self.raised) = (history & self.last, raised != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m_of_n_raise_and_none_of_n_clear() {
        let mut votes = Votes::new(2, 3).unwrap();
        let pushed = [1, 0, 0, 1, 0, 1, 0, 0, 0, 1].map(|anomalous| votes.push(anomalous == 1));
        //             one   -     out    -      -      two   held  held  none   one
        assert_eq!(pushed, [false, false, false, false, false, true, true, true, false, false]);
        let mut single = Votes::new(1, 1).unwrap();
        assert_eq!([true, false].map(|anomalous| single.push(anomalous)), [true, false]);
        let mut all = Votes::new(32, 32).unwrap();
        assert_eq!((0..33).map(|_| all.push(true)).position(|raised| raised), Some(31));
    }

    #[test]
    fn impossible_votes_are_refused() {
        for (needed, of) in [(0, 5), (6, 5), (1, 33), (0, 0)] {
            assert_eq!(Votes::new(needed, of), None, "{needed} of {of}");
        }
    }
}
