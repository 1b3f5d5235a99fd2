//! Windows counted by what the alarm does in them.

/// Windows by whether they belong to an event and have the alarm on.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) hits: usize,
    pub(crate) missed: usize,
    pub(crate) wrong: usize,
    pub(crate) quiet: usize,
    /// Normal windows with the alarm of an event.
    pub(crate) carried: usize,
    pub(crate) raised: usize,
    pub(crate) raised_outside: usize,
}

impl Counts {
    /// Adds the windows of a recording.
    pub(crate) fn add(&mut self, is_in_event: &[bool], alarm: &[bool]) {
        let counts = self;
        let (mut was_on, mut is_events) = (false, false);
        for (in_event, on) in is_in_event.iter().copied().zip(alarm.iter().copied()) {
            *match (in_event, on) {
                (true, true) => &mut counts.hits,
                (true, false) => &mut counts.missed,
                (false, true) => &mut counts.wrong,
                (false, false) => &mut counts.quiet,
            } += 1;
            is_events = on && (in_event || is_events);
            counts.carried += usize::from(is_events && !in_event);
            counts.raised += usize::from(on && !was_on);
            counts.raised_outside += usize::from(on && !was_on && !in_event);
            was_on = on;
        }
    }
}
