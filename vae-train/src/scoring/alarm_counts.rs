//! Windows counted by what the alarm does in them.

/// Windows by whether they belong to an event and have the alarm on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) hits: usize,
    pub(crate) missed: usize,
    pub(crate) wrong: usize,
    pub(crate) quiet: usize,
    /// Normal windows with the alarm of an event.
    pub(crate) carried: usize,
    pub(crate) raised: usize,
    pub(crate) raised_outside: usize,
    /// Whether the last window had the alarm on, and whether it was an event's.
    was_on: bool,
    is_events: bool,
}

impl Counts {
    /// Another recording begins with the next window.
    pub(crate) fn begin(&mut self) {
        (self.was_on, self.is_events) = (false, false);
    }

    /// Adds the next window; returns whether the alarm was on before it.
    pub(crate) fn add(&mut self, in_event: bool, on: bool) -> bool {
        let was_on = self.was_on;
        *match (in_event, on) {
            (true, true) => &mut self.hits,
            (true, false) => &mut self.missed,
            (false, true) => &mut self.wrong,
            (false, false) => &mut self.quiet,
        } += 1;
        self.is_events = on && (in_event || self.is_events);
        self.carried += usize::from(self.is_events && !in_event);
        self.raised += usize::from(on && !was_on);
        self.raised_outside += usize::from(on && !was_on && !in_event);
        self.was_on = on;
        was_on
    }
}
