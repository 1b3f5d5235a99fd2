//! Made-up tables whose columns follow each other to within half a per cent, or exactly, and anomalies that break the relation while each
//! column by itself stays ordinary.

use std::{
    fmt::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

use crate::detection::measure::{LABEL, Test};

/// Test rows of each label.
const TEST_ROWS: usize = 1000;
/// How far a tied column is moved, in its range in the training rows.
const DEVIATION: f64 = 0.03;
/// Noise of what follows a curve, in its full scale.
const NOISE: f64 = 0.005;
/// Full scales: kW and revolutions a minute.
const POWER: f64 = 2000.0;
const SPEED: f64 = 20.0;
/// Least share of the full power at which standing still is not ordinary.
const TURNING: f64 = 0.1;
/// What all values are multiples of, so that the text of a table holds them exactly.
const STEP: f64 = 0.001;

/// What the columns of a table have to do with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Relation {
    /// Wind, and the power that a turbine makes of it, by a logistic curve and noise of 0.5 % of the full power.
    Curve,
    /// Wind, power, the rotor's speed, which follows the wind to half a per cent, too, and a temperature that follows nothing.
    Turbine,
    /// Four loads, and exactly their sum.
    Sum,
}

/// What is wrong with an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// This column is up or down by 3 % of its range in the training rows.
    Moved(usize),
    /// Any of the columns is, by 3 % of its own.
    AnyMoved,
    /// Wind that is enough for a tenth of the full power, and no power.
    Stopped,
}

/// Power at a wind speed in m/s, in kW: a logistic curve through half of the full power at 8 m/s.
#[must_use]
pub fn power(wind: f64) -> f64 {
    POWER / (1.0 + ((8.0 - wind) / 1.5).exp())
}

/// Speed of the rotor at a wind speed, in revolutions a minute: it rises smoothly, and ever less.
#[must_use]
pub fn speed(wind: f64) -> f64 {
    SPEED * (wind / 7.0).tanh()
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Curve => "curve",
            Self::Turbine => "turbine",
            Self::Sum => "sum",
        })
    }
}

impl Relation {
    /// The names of its columns.
    #[must_use]
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Curve => &["wind", "power"],
            Self::Turbine => &["wind", "power", "speed", "temperature"],
            Self::Sum => &["first", "second", "third", "fourth", "sum"],
        }
    }

    /// The anomalies that it is judged by, and their names.
    #[must_use]
    pub fn deviations(self) -> &'static [(&'static str, Deviation)] {
        match self {
            Self::Curve => &[("power", Deviation::Moved(1)), ("stopped", Deviation::Stopped)],
            Self::Turbine => {
                &[("power", Deviation::Moved(1)), ("speed", Deviation::Moved(2)), ("stopped", Deviation::Stopped)]
            }
            Self::Sum => &[("sum", Deviation::Moved(4)), ("any", Deviation::AnyMoved)],
        }
    }

    /// A normal row.
    fn row(self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        match self {
            Self::Curve | Self::Turbine => {
                let wind = wind(rng);
                let mut noisy = |value: f64, scale: f64| value + NOISE * scale * normal(rng);
                let mut row =
                    vec![wind, noisy(power(wind), POWER), noisy(speed(wind), SPEED), 15.0 + 8.0 * normal(rng)];
                row.truncate(self.columns().len());
                row.into_iter().map(rounded).collect()
            }
            Self::Sum => {
                // Each has something of its own, and something of the hour.
                let hour: f64 = rng.random_range(0.0..1.0);
                let mut row: Vec<f64> = [40.0, 30.0, 20.0, 10.0]
                    .map(|scale| rounded(scale * (0.4 * hour + 0.6 * rng.random_range(0.0..1.0))))
                    .to_vec();
                row.push(rounded(row.iter().sum()));
                row
            }
        }
    }

    /// Normal rows, the same for the same seed.
    #[must_use]
    pub fn rows(self, count: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| self.row(&mut rng)).collect()
    }

    /// Anomalous rows, the same for the same seed; ranges are those of the columns in `train`.
    #[must_use]
    pub fn anomalies(self, deviation: Deviation, train: &[Vec<f64>], count: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let range = |column: usize| {
            let values = || train.iter().map(|row| row[column]);
            values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
        };
        let ranges: Vec<f64> = (0..self.columns().len()).map(range).collect();
        let one = |_| {
            let mut row = self.row(&mut rng);
            let column = match deviation {
                Deviation::Moved(column) => column,
                Deviation::AnyMoved => rng.random_range(0..row.len()),
                Deviation::Stopped => {
                    while power(row[0]) < TURNING * POWER {
                        row = self.row(&mut rng);
                    }
                    row[1] = rounded(NOISE * POWER * normal(&mut rng));
                    return row;
                }
            };
            let sign = if rng.random() { 1.0 } else { -1.0 };
            row[column] = rounded(row[column] + sign * DEVIATION * ranges[column]);
            row
        };
        (0..count).map(one).collect()
    }

    /// Writes a training table of so many rows and a test table for each kind of anomaly, half of whose rows are anomalies; returns where
    /// they are.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(self, folder: &Path, rows: usize, seed: u64) -> Result<(PathBuf, Vec<Test>)> {
        let train = self.rows(rows, seed);
        let path = folder.join("train.csv");
        self.write_table(&path, &[(0, &train)])?;
        let mut tests = Vec::new();
        for (index, (name, deviation)) in self.deviations().iter().enumerate() {
            // Other rows than the training's, and others for each kind.
            let other = seed.wrapping_add(1000 * (index as u64 + 1));
            let normal = self.rows(TEST_ROWS, other);
            let anomalies = self.anomalies(*deviation, &train, TEST_ROWS, other + 500);
            let path = folder.join(format!("test_{name}.csv"));
            self.write_table(&path, &[(0, &normal), (1, &anomalies)])?;
            tests.push(Test { name: format!("{self} {rows}, {name}"), path });
        }
        Ok((path, tests))
    }

    fn write_table(self, path: &Path, parts: &[(u8, &[Vec<f64>])]) -> Result<()> {
        let mut text = format!("{},{LABEL}\n", self.columns().join(","));
        for (label, row) in parts.iter().flat_map(|(label, rows)| rows.iter().map(move |row| (label, row))) {
            row.iter().try_for_each(|value| write!(text, "{value:.3},"))?;
            writeln!(text, "{label}")?;
        }
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn rounded(value: f64) -> f64 {
    (value / STEP).round() * STEP
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(standard_normal(rng))
}

/// Wind speed in m/s: Weibull with shape 2 and scale 8 m/s, up to the 25 m/s at which turbines are taken off.
fn wind(rng: &mut ChaCha8Rng) -> f64 {
    loop {
        let uniform: f64 = rng.random_range(0.0..1.0);
        let wind = 8.0 * (-(1.0 - uniform).ln()).sqrt();
        if wind < 25.0 {
            return wind;
        }
    }
}

#[cfg(test)]
mod tests {
    use vae_train::statistics::metrics::Detection;

    use super::*;

    fn deviation_of(values: impl Iterator<Item = f64> + Clone) -> f64 {
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
    }

    #[test]
    fn what_follows_a_curve_does_so_to_half_a_per_cent() {
        let rows = Relation::Turbine.rows(20_000, 1);
        // A standard deviation of 20,000 normal numbers has a standard error of half a per cent: four of them.
        for (column, curve, scale) in [(1, power as fn(f64) -> f64, POWER), (2, speed, SPEED)] {
            let found = deviation_of(rows.iter().map(|row| (row[column] - curve(row[0])) / scale));
            assert!((found / NOISE - 1.0).abs() < 0.02, "column {column}: {found}");
        }
        assert!((power(8.0), power(30.0) > 0.999 * POWER) == (POWER / 2.0, true));
        // Mean and mean square of a Weibull of shape 2: scale √π / 2, and scale²; the cut at 25 m/s leaves out e⁻⁹·⁸.
        let mean = rows.iter().map(|row| row[0]).sum::<f64>() / 20_000.0;
        assert!((mean - 8.0 * std::f64::consts::PI.sqrt() / 2.0).abs() < 0.12, "{mean}");
        // The temperature follows nothing: a correlation has a standard error of 0.007.
        let product = rows.iter().map(|row| (row[0] - mean) * (row[3] - 15.0)).sum::<f64>() / 20_000.0;
        let correlation = product / (deviation_of(rows.iter().map(|row| row[0])) * 8.0);
        assert!(correlation.abs() < 0.03, "{correlation}");
    }

    #[test]
    fn a_sum_is_exact_in_the_tables_text() {
        let place = tempfile::tempdir().unwrap();
        let (train, _) = Relation::Sum.write(place.path(), 500, 3).unwrap();
        let text = std::fs::read_to_string(train).unwrap();
        let thousandths = |field: &str| field.replace('.', "").parse::<i64>().unwrap();
        for line in text.lines().skip(1) {
            let fields: Vec<i64> = line.split(',').take(5).map(thousandths).collect();
            assert_eq!(fields[..4].iter().sum::<i64>(), fields[4], "{line}");
        }
        assert_eq!(text.lines().count(), 501);
    }

    #[test]
    fn anomalies_are_moved_by_three_per_cent_of_the_range_either_way() {
        for relation in Relation::value_variants().iter().copied() {
            let train = relation.rows(2000, 0);
            let column_range = |column: usize| {
                let mut values: Vec<f64> = train.iter().map(|row| row[column]).collect();
                values.sort_by(f64::total_cmp);
                values[values.len() - 1] - values[0]
            };
            for (name, deviation) in relation.deviations() {
                let Deviation::Moved(column) = *deviation else { continue };
                let anomalies = relation.anomalies(*deviation, &train, 1000, 7);
                // Of what the relation says of the column, on average nothing is left but the deviation.
                let off: Vec<f64> = anomalies
                    .iter()
                    .map(|row| match (relation, column) {
                        (Relation::Sum, _) => row[4] - row[..4].iter().sum::<f64>(),
                        (_, 1) => row[1] - power(row[0]),
                        _ => row[2] - speed(row[0]),
                    })
                    .map(|off| off / column_range(column))
                    .collect();
                for sign in [1.0, -1.0] {
                    let own: Vec<f64> = off.iter().copied().filter(|off| off * sign > 0.0).collect();
                    let mean = own.iter().sum::<f64>() / own.len() as f64;
                    // Six of noise's deviations from 0: 500 rows, whose mean has a standard error of 0.0002.
                    assert!((mean - sign * 0.03).abs() < 0.001, "{relation:?} {name}: {mean}");
                    assert!((400..600).contains(&own.len()), "{relation:?} {name}: {}", own.len());
                }
            }
        }
    }

    /// By what is left of the tied column, which a model can come close to: what is asked of it can be had.
    #[test]
    fn who_knows_the_relation_tells_every_anomaly() {
        for (relation, name, deviation) in Relation::value_variants()
            .iter()
            .flat_map(|relation| relation.deviations().iter().map(move |of| (*relation, of.0, of.1)))
        {
            let train = relation.rows(2000, 0);
            let (normal, anomalies) = (relation.rows(1000, 1), relation.anomalies(deviation, &train, 1000, 2));
            let off = |row: &Vec<f64>| match relation {
                Relation::Sum => (row[4] - row[..4].iter().sum::<f64>()).abs(),
                Relation::Curve => ((row[1] - power(row[0])) / POWER).abs(),
                Relation::Turbine => {
                    let (power, speed) = ((row[1] - power(row[0])) / POWER, (row[2] - speed(row[0])) / SPEED);
                    power.hypot(speed)
                }
            };
            let scores: Vec<f64> = normal.iter().chain(&anomalies).map(off).collect();
            let labels: Vec<bool> = (0..2000).map(|row| row >= 1000).collect();
            let auroc = Detection::of(&scores, &labels).unwrap().auroc;
            assert!(auroc > 0.999, "{relation:?} {name}: {auroc}");
        }
    }

    #[test]
    fn any_column_of_a_sum_is_moved_and_one_at_a_time() {
        let train = Relation::Sum.rows(2000, 0);
        let anomalies = Relation::Sum.anomalies(Deviation::AnyMoved, &train, 1000, 5);
        let mut off: Vec<i64> =
            anomalies.iter().map(|row| ((row[4] - row[..4].iter().sum::<f64>()).abs() / STEP).round() as i64).collect();
        off.sort_unstable();
        off.dedup();
        // Five columns with ranges of their own.
        assert_eq!(off.len(), 5, "{off:?}");
    }

    #[test]
    fn a_turbine_that_stands_still_has_wind_for_a_tenth_of_its_power() {
        for relation in [Relation::Curve, Relation::Turbine] {
            let train = relation.rows(2000, 0);
            for row in relation.anomalies(Deviation::Stopped, &train, 1000, 9) {
                // A twentieth of the full power is ten of the noise's deviations; wind is rounded to 0.001 m/s.
                assert!(power(row[0]) > 0.0999 * POWER && row[1].abs() < 0.05 * POWER, "{row:?}");
            }
        }
    }

    #[test]
    fn tables_are_those_of_their_seed_and_half_of_a_test_is_anomalous() {
        let write = |seed: u64| {
            let place = tempfile::tempdir().unwrap();
            let (train, tests) = Relation::Turbine.write(place.path(), 50, seed).unwrap();
            let read = |path: &Path| std::fs::read_to_string(path).unwrap();
            (read(&train), tests.iter().map(|test| (test.name.clone(), read(&test.path))).collect::<Vec<_>>())
        };
        let (train, tests) = write(1);
        assert_eq!((train.clone(), tests.clone()), write(1));
        assert_ne!(train, write(2).0);
        assert!(train.starts_with("wind,power,speed,temperature,label\n") && train.lines().count() == 51);
        let names: Vec<&str> = tests.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["turbine 50, power", "turbine 50, speed", "turbine 50, stopped"]);
        for (name, text) in &tests {
            let labelled = |label: &str| text.lines().filter(|line| line.ends_with(label)).count();
            assert_eq!((labelled(",0"), labelled(",1")), (TEST_ROWS, TEST_ROWS), "{name}");
            // No test row is a training row.
            assert!(text.lines().skip(1).all(|line| !train.contains(line)), "{name}");
        }
    }
}
