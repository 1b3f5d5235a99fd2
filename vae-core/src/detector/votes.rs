//! m of n votes.

/// Most windows that vote.
pub const MOST_VOTES: u32 = 32;

/// Whether m of the last n windows voted for an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Votes {
    needed: u32,
    /// A one for each of the last n windows.
    last: u32,
    /// The last windows' votes, the newest in the lowest bit.
    history: u32,
}

impl Votes {
    /// `needed` of the last `of` windows, `1 ≤ needed ≤ of ≤ 32`; none for other numbers.
    #[must_use]
    pub const fn new(needed: u32, of: u32) -> Option<Self> {
        if needed == 0 || needed > of || of > MOST_VOTES {
            return None;
        }
        Some(Self { needed, last: u32::MAX >> (MOST_VOTES - of), history: 0 })
    }

    /// Counts a window's vote; returns whether there are enough of them now.
    pub fn push(&mut self, anomalous: bool) -> bool {
        self.history = ((self.history << 1) | u32::from(anomalous)) & self.last;
        self.history.count_ones() >= self.needed
    }

    /// `(needed, of)`
    #[must_use]
    pub const fn rule(&self) -> (u32, u32) {
        (self.needed, self.last.count_ones())
    }

    /// Forgets all votes.
    pub fn clear(&mut self) {
        self.history = 0;
    }

    /// The last windows' votes, as a snapshot holds them.
    pub(crate) const fn history(&self) -> u32 {
        self.history
    }

    pub(crate) fn set_history(&mut self, history: u32) {
        self.history = history & self.last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m_of_the_last_n_are_enough() {
        let mut votes = Votes::new(2, 3).unwrap();
        let pushed = [1, 0, 0, 1, 0, 1, 0, 0, 1, 1].map(|anomalous| votes.push(anomalous == 1));
        assert_eq!(pushed, [false, false, false, false, false, true, false, false, false, true]);
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
