//! `fit --auto`: the budget as it is typed, and the fit of the setting that a search has chosen.

use serde::Serialize;

use crate::run::{
    fit::Fitted,
    search::{
        Search,
        budget::{Budget, core_named},
    },
};

/// The options of a search.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Search")]
pub(super) struct Auto {
    /// Try several windows and front-ends on data that are held out, without labels, and fit the best one within the budget.
    ///
    /// Each is trained for a short time, and judged by how well it tells small disturbances of normal data from normal data. What was tried is
    /// printed and kept in the run, as `auto.json`.
    #[arg(long, conflicts_with_all = ["resume", "window", "hop", "front_end"])]
    auto: bool,
    /// With --auto: the core that the model will run on: cortex-m0, cortex-m3, cortex-m4f, cortex-m33, cortex-m7 or rv32imc.
    #[arg(long, requires = "auto", hide_short_help = true, value_parser = |text: &str| core_named(text).map_err(|error| error.to_string()))]
    core: Option<String>,
    /// With --auto: the core's clock, as in 48MHz.
    #[arg(long, requires = "core", hide_short_help = true, value_parser = |text: &str| quantity(text, &HERTZ))]
    clock: Option<f64>,
    /// With --auto: the share of the clock's cycles that scores may take, as in 10%; needs the rate of the samples.
    #[arg(long, requires = "clock", hide_short_help = true, value_parser = share)]
    load: Option<f64>,
    /// With --auto: the flash that the model file may take, as in 16KiB.
    #[arg(long, requires = "auto", hide_short_help = true, value_parser = |text: &str| quantity(text, &BYTES))]
    flash: Option<f64>,
    /// With --auto: the RAM that scratch, window and detector may take beside the stack, as in 2KiB.
    #[arg(long, requires = "auto", hide_short_help = true, value_parser = |text: &str| quantity(text, &BYTES))]
    ram: Option<f64>,
}

const HERTZ: [(&str, f64); 4] = [("ghz", 1e9), ("mhz", 1e6), ("khz", 1e3), ("hz", 1.0)];
pub(super) const BYTES: [(&str, f64); 9] = [
    ("gib", 1_073_741_824.0),
    ("kib", 1024.0),
    ("mib", 1_048_576.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("k", 1024.0),
    ("bytes", 1.0),
    ("b", 1.0),
];

/// Reads a number above 0 with one of these units behind it, or none.
pub(super) fn quantity(text: &str, units: &[(&str, f64)]) -> Result<f64, String> {
    let lower = text.to_lowercase();
    let (digits, factor) = units
        .iter()
        .find_map(|(unit, factor)| lower.strip_suffix(unit).map(|digits| (digits, *factor)))
        .unwrap_or((&lower, 1.0));
    let value = digits.trim().parse().ok().map(|value: f64| value * factor);
    value.filter(|value| *value > 0.0 && value.is_finite()).ok_or_else(|| {
        let units: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
        format!("`{text}` is no size: give a number above 0, with one of the units {} behind it", units.join(", "))
    })
}

/// Reads a share, as `10%` or `0.1`.
fn share(text: &str) -> Result<f64, String> {
    let (digits, factor) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 0.01));
    let value = digits.trim().parse().ok().map(|value: f64| value * factor);
    value.filter(|value| *value > 0.0 && *value <= 1.0).ok_or_else(|| format!("`{text}` is no share: give 10% or 0.1"))
}

impl Auto {
    pub(super) fn is_on(&self) -> bool {
        self.auto
    }

    pub(super) fn budget(&self) -> Budget {
        let bytes = |size: Option<f64>| size.map(|size| size as usize);
        Budget {
            core: self.core.clone(),
            clock: self.clock,
            load: self.load,
            flash: bytes(self.flash),
            ram: bytes(self.ram),
        }
    }
}

/// A fit, and the search before it.
#[derive(Serialize)]
pub(super) struct Found<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) search: Option<&'a Search>,
    #[serde(flatten)]
    pub(super) fitted: &'a Fitted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_clocks_and_shares_are_read_as_people_write_them() {
        for (text, expected) in
            [("16KiB", 16384.0), ("2 kB", 2000.0), ("1.5MiB", 1_572_864.0), ("800", 800.0), ("64k", 65536.0)]
        {
            assert_eq!(quantity(text, &BYTES), Ok(expected), "{text}");
        }
        assert_eq!((quantity("48MHz", &HERTZ), quantity("32768 hz", &HERTZ)), (Ok(48e6), Ok(32768.0)));
        assert_eq!((share("10%"), share("0.25")), (Ok(0.1), Ok(0.25)));
        assert!(quantity("-1KiB", &BYTES).is_err() && quantity("16 pages", &BYTES).is_err());
        assert!(share("0").is_err() && share("120%").is_err());
    }
}
