//! Alarms told from events while rows and windows go by.

use std::collections::VecDeque;

use anyhow::{Result, ensure};

use crate::scoring::{
    alarm_counts::Counts,
    events::{Event, EventDetection},
};

/// Rows with labels and windows with alarms, one after the other, of which no more is kept than the events.
#[derive(Clone, Debug)]
pub(crate) struct EventStream {
    window: usize,
    rate: Option<f64>,
    rows: usize,
    /// The labels of the last rows, as many as a window has, until the first window.
    recent: Option<VecDeque<bool>>,
    /// Rows that are not labelled anomalies: all, those before the first window, and those up to the end of the last.
    normal: usize,
    before: usize,
    until: usize,
    windows: usize,
    counts: Counts,
    events: Vec<Event>,
    /// Those that may have windows yet, or whose alarm may go off yet.
    open: Vec<Open>,
    /// Whether another recording has begun since the last window.
    begins: bool,
    /// The events of the last window.
    own: Vec<usize>,
}

/// An event of which not all is known.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Its place among the events.
    index: usize,
    is_running: bool,
    /// The row with which the next event or another recording begins.
    next: Option<usize>,
    /// Windows of it with the alarm on.
    on: usize,
    /// What came of the alarm since the last of them.
    off: Off,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Off {
    NotYet,
    /// In the window that ends with this row.
    In(usize),
    /// Where it tells of something else.
    TooLate,
}

impl EventStream {
    /// Of windows of so many rows, of which `rate` come a second.
    pub(crate) fn new(window: usize, rate: Option<f64>) -> Self {
        Self {
            window,
            rate,
            rows: 0,
            recent: Some(VecDeque::new()),
            normal: 0,
            before: 0,
            until: 0,
            windows: 0,
            counts: Counts::default(),
            events: Vec::new(),
            open: Vec::new(),
            begins: false,
            own: Vec::new(),
        }
    }

    /// Takes the next row, with which another recording begins or not.
    pub(crate) fn row(&mut self, is_anomalous: bool, begins: bool) {
        let row = self.rows;
        if begins {
            self.begins = true;
            for open in &mut self.open {
                open.is_running = false;
                open.next.get_or_insert(row);
            }
        }
        match self.open.iter_mut().find(|open| open.is_running) {
            Some(open) if is_anomalous => self.events[open.index].last_row = row,
            Some(open) => open.is_running = false,
            None if is_anomalous => {
                for open in &mut self.open {
                    open.next.get_or_insert(row);
                }
                let index = self.events.len();
                self.open.push(Open { index, is_running: true, next: None, on: 0, off: Off::NotYet });
                self.events.push(Event::beginning_with(row));
            }
            None => {}
        }
        if let Some(recent) = &mut self.recent {
            recent.push_back(is_anomalous);
            if recent.len() > self.window {
                recent.pop_front();
            }
        }
        self.normal += usize::from(!is_anomalous);
        self.rows += 1;
    }

    /// Takes the window that ends with the last row, behind which the alarm is on or not; returns the events that it belongs to, by their places.
    pub(crate) fn window(&mut self, alarm: bool) -> &[usize] {
        let (end, window) = (self.rows.saturating_sub(1), self.window);
        if std::mem::take(&mut self.begins) {
            self.counts.begin();
        }
        if let Some(recent) = self.recent.take() {
            self.before = self.normal - recent.iter().filter(|label| !**label).count();
        }
        (self.until, self.windows) = (self.normal, self.windows + 1);
        let covers = |event: &Event, open: &Open, end| open.is_running || end < event.last_row + window;
        self.own.clear();
        let own = self.open.iter().filter(|open| covers(&self.events[open.index], open, end));
        self.own.extend(own.map(|open| open.index));
        let was_on = self.counts.add(!self.own.is_empty(), alarm);
        for open in &mut self.open {
            let event = &mut self.events[open.index];
            if covers(event, open, end) {
                event.was_on |= event.windows == 0 && was_on && alarm;
                event.windows += 1;
                event.raised += usize::from(alarm && !was_on);
                if alarm {
                    (open.on, open.off) = (open.on + 1, Off::NotYet);
                    event.delay.get_or_insert(if event.was_on { 0 } else { end - event.first_row });
                }
            }
            if !alarm && open.on > 0 && open.off == Off::NotYet {
                // A window that holds a row of the next event tells of that one.
                open.off = if open.next.is_none_or(|next| end < next) { Off::In(end) } else { Off::TooLate };
            }
        }
        let events = &mut self.events;
        self.open.retain(|open| {
            let event = &mut events[open.index];
            let may_go_off = open.on > 0 && open.off == Off::NotYet && open.next.is_none();
            let is_open = covers(event, open, end + 1) || may_go_off;
            if !is_open {
                event.close(open);
            }
            is_open
        });
        &self.own
    }

    /// How many events have begun.
    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }

    /// What all rows and windows come to.
    pub(crate) fn end(self) -> EventDetection {
        let Self { rate, before, until, windows, counts, mut events, open, .. } = self;
        open.iter().for_each(|open| events[open.index].close(open));
        let seconds = |rows: Option<usize>| rows.zip(rate).map(|(rows, rate)| rows as f64 / rate);
        for event in &mut events {
            (event.delay_seconds, event.clear_seconds) = (seconds(event.delay), seconds(event.clear));
        }
        let Counts { hits, missed, wrong, quiet, carried, raised, raised_outside, .. } = counts;
        let normal_windows = quiet + wrong;
        let delays: Vec<usize> = events.iter().filter_map(|event| event.delay).collect();
        let ratio = |part: f64, of: f64| (of > 0.0).then(|| part / of);
        let mean_delay = ratio(delays.iter().sum::<usize>() as f64, delays.len() as f64);
        // What nobody watched is no time without false alarms.
        let normal_rows = (until - before) as f64;
        EventDetection {
            windows,
            normal_windows,
            watched_windows: normal_windows - carried,
            normal_alarm_share: ratio(wrong as f64, normal_windows as f64),
            detected: delays.len(),
            mean_delay,
            mean_delay_seconds: mean_delay.zip(rate).map(|(rows, rate)| rows / rate),
            alarms: raised,
            false_alarms: raised_outside,
            false_alarms_per_1000_windows: ratio(1000.0 * raised_outside as f64, normal_windows as f64),
            false_alarms_per_hour: rate.and_then(|rate| ratio(raised_outside as f64, normal_rows / rate / 3600.0)),
            precision: ratio(hits as f64, (hits + wrong) as f64),
            recall: ratio(hits as f64, (hits + missed) as f64),
            f1: ratio(2.0 * hits as f64, (2 * hits + wrong + missed) as f64),
            events,
        }
    }
}

impl Event {
    fn beginning_with(row: usize) -> Self {
        Self {
            first_row: row,
            last_row: row,
            windows: 0,
            alarm_share: None,
            raised: 0,
            was_on: false,
            delay: None,
            delay_seconds: None,
            clear: None,
            clear_seconds: None,
        }
    }

    fn close(&mut self, open: &Open) {
        self.alarm_share = (self.windows > 0).then(|| open.on as f64 / self.windows as f64);
        if let Off::In(row) = open.off {
            self.clear = Some(row.saturating_sub(self.last_row));
        }
    }
}

impl EventDetection {
    /// Judges the state of an alarm after each window.
    ///
    /// `labels` has one entry a row, and `starts` are the rows at which another recording begins. `ends` are the last rows of the windows, ascending, each of `window` rows, and `alarm` says
    /// after which of them the alarm was on. `rate` is the rows per second. For a caller that has labels and alarms of the
    /// windows only: `window` 1, `ends` 0 to n − 1, and the windows per second; delays are then in windows.
    ///
    /// # Errors
    /// If the numbers of windows differ, or a window lies outside the rows.
    pub fn of(
        labels: &[bool],
        starts: &[usize],
        window: usize,
        ends: &[usize],
        alarm: &[bool],
        rate: Option<f64>,
    ) -> Result<Self> {
        check(labels, window, ends, alarm)?;
        let mut stream = EventStream::new(window, rate);
        let (mut starts, mut windows) = (starts.iter().copied().peekable(), ends.iter().zip(alarm).peekable());
        for (row, label) in labels.iter().enumerate() {
            stream.row(*label, starts.next_if_eq(&row).is_some());
            if let Some((_, alarm)) = windows.next_if(|(end, _)| **end == row) {
                stream.window(*alarm);
            }
        }
        Ok(stream.end())
    }
}

fn check(labels: &[bool], window: usize, ends: &[usize], alarm: &[bool]) -> Result<()> {
    ensure!(ends.len() == alarm.len(), "{} windows for {} alarms", ends.len(), alarm.len());
    ensure!(ends.is_sorted_by(|a, b| a < b), "the windows are not in order of time");
    ensure!(window > 0, "a window of 0 rows");
    if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
        ensure!(
            first + 1 >= window && *last < labels.len(),
            "windows of {window} rows that end in rows {first} to {last} do not fit into {} rows",
            labels.len()
        );
    }
    Ok(())
}
