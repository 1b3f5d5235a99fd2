//! Rates of alarms and times, as people say them.

/// A time in words, `1.5 h`.
#[must_use]
pub fn span(seconds: f64) -> String {
    let times = [(172_800.0, 86400.0, "days"), (3600.0, 3600.0, "h"), (60.0, 60.0, "min")];
    let fitting = times.into_iter().find(|(least, ..)| seconds >= *least);
    fitting.map_or(format!("{seconds:.1} s"), |(_, unit, name)| format!("{:.1} {name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_people_would_use() {
        for (seconds, text) in [(59.0, "59.0 s"), (90.0, "1.5 min"), (3600.0, "1.0 h"), (864_000.0, "10.0 days")] {
            assert_eq!(span(seconds), text);
        }
    }
}
